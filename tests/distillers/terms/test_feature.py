"""Check what a term compares, and what it refuses to compare."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from torch import nn

from pd_mmdet.distillers.terms.feature import feature_maps, match_levels
from pd_mmdet.taps import Tap
from tests.helpers.tiny import (
    BOX,
    CAFFE,
    CLS,
    PKD,
    batch,
    build,
    distiller,
    forward,
    of_heads,
    retinanet,
    train,
)


def assistant(ratio=2, **options):
    return ConfigDict(type='AFPDetector', detector=retinanet(**options), ratio=ratio)


def with_terms(student=None, teacher=None, ratio=2, **terms):
    teacher = dict(cfg=teacher or retinanet(first=8))
    return build(distiller(student, ratio=ratio, teacher=teacher, terms=terms))


def tapped(term, student, teacher=None):
    return dict(term, student=student, teacher=teacher or student)


def correlation(own, other):
    """Pearson's r of two maps' channels over batch and places, averaged over channels."""
    own, other = (feat.transpose(0, 1).flatten(1) for feat in (own, other))
    pairs = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(own, other, strict=True)]
    return torch.stack(pairs).mean()


# What is compared


@pytest.mark.parametrize(
    'ratio, teacher, tap',
    [
        (2, retinanet(first=8), 'neck'),
        (2, assistant(2), 'neck.afp'),
        ('3/2', assistant('3/2'), 'neck.afp'),
    ],
)
def test_a_term_compares_what_the_detectors_alone_put_out(ratio, teacher, tap):
    """Each normalises its view its own way: RGB here, Caffe's BGR there."""
    student = retinanet()
    student.data_preprocessor.update(pad_size_divisor=1)  # both pad alone as they do together
    teacher.get('detector', teacher).data_preprocessor.update(CAFFE, pad_size_divisor=1)
    model = with_terms(student, teacher, ratio, pkd=tapped(PKD, 'neck', tap))
    alone, other = build(student), build(teacher)
    alone.load_state_dict(model.state_dict(), strict=False)
    other.load_state_dict(model.teacher.model.state_dict())
    other.eval()
    levels = [
        detector.extract_feat(detector.data_preprocessor(batch(ratio, (view,)), True)['inputs'])
        for detector, view in ((alone, 'lr'), (other, 'hr'))
    ]
    distances = [1 - correlation(*pair) for pair in zip(*levels, strict=True)]
    loss = forward(model, batch(ratio))['distill_pkd_loss']
    assert loss.item() == pytest.approx(2 * sum(distances).item() / 3, rel=1e-3)


def test_an_assistant_is_compared_before_the_rescale_with_a_teacher_on_the_same_image():
    big = retinanet(first=4)
    options = dict(view='hr', teacher=dict(cfg=big), terms=dict(pkd=PKD))
    model = build(distiller(assistant(), **options))
    assert model.distill['pkd'].pairs == [(0, 0), (1, 1), (2, 2)]
    rescaled = dict(PKD, student='neck.afp')
    model = build(distiller(assistant(), **(options | dict(terms=dict(pkd=rescaled)))))
    assert model.distill['pkd'].pairs == [(0, 1), (1, 2)]  # strides 8, 16, 32 and 4, 8, 16


@pytest.mark.parametrize(
    'first, ratio, pairs',
    [
        (8, 2, [(0, 0), (1, 1), (2, 2)]),  # 8, 16 and 32 of 2k pixels are 4, 8 and 16 of k
        (4, 2, [(0, 1), (1, 2)]),
        (8, 4, [(0, 1), (1, 2)]),
        (4, 4, [(0, 2)]),
    ],
)
def test_levels_are_matched_by_stride(first, ratio, pairs):
    model = with_terms(teacher=retinanet(first=first), ratio=ratio, pkd=PKD)
    assert model.distill['pkd'].pairs == pairs


def test_taps_select_levels():
    model = with_terms(
        feature=tapped(PKD, 'neck[1:]', 'neck'),
        last=tapped(PKD, 'neck[-1]'),
        stage=tapped(PKD, 'backbone[0]', 'backbone'),
    )
    assert model.distill['feature'].pairs == [(0, 1), (1, 2)]
    assert model.distill['last'].pairs == [(0, 0)]
    assert model.distill['stage'].pairs == [(0, 1)]  # the teacher's backbone starts at stride 4
    losses = forward(model, batch())
    assert all(losses[f'distill_{name}_loss'] > 0 for name in ('feature', 'last', 'stage'))


def test_a_module_inside_may_be_tapped():
    model = with_terms(pkd=tapped(PKD, 'backbone.layer2.1', 'backbone.layer3'))
    assert forward(model, batch())['distill_pkd_loss'] > 0


def test_an_adapter_appears_where_channels_differ():
    model = with_terms(
        teacher=retinanet(first=8, channels=12),
        wide=PKD,
        same=tapped(PKD, 'backbone[0]', 'backbone[1]'),
    )
    assert [type(adapter) for adapter in model.distill['wide'].adapters] == [nn.Conv2d] * 3
    assert model.distill['wide'].adapters[0].weight.shape == (12, 8, 1, 1)
    assert {name for name in model.state_dict() if name.startswith('distill.')} == {
        f'distill.{term}.adapters.{level}.{name}'
        for term, levels in (('wide', 3), ('same', 1))
        for level in range(levels)
        for name in ('weight', 'bias')
    }
    assert not list(with_terms(pkd=PKD).distill.parameters())


# Dense heads


def head_losses(model):
    losses = forward(model, batch())
    return {name: value.item() for name, value in losses.items() if name.startswith('distill')}


def test_a_teachers_own_head_is_compared_by_level_shift():
    model = with_terms(cls=CLS, box=dict(BOX, loss=dict(type='DenseHeadBoxLoss', score_thr=0.0)))
    assert model.distill['cls'].pairs == [(0, 0), (1, 1), (2, 2)]
    assert all(value > 0 for value in head_losses(model).values())


def test_levels_of_a_head_may_be_selected():
    model = with_terms(cls=tapped(CLS, 'bbox_head[1:]', 'bbox_head'), all=CLS)
    assert model.distill['cls'].pairs == [(1, 1), (2, 2)]
    assert 0 < head_losses(model)['distill_cls_loss']


def test_the_head_term_is_nought_where_both_sides_answer_alike():
    model = with_terms(teacher=assistant(), cls=CLS, box=BOX)
    outputs = model.bbox_head(model.extract_feat(torch.rand(1, 3, 64, 64)))
    for score in outputs[0]:  # GIoU counts where the teacher is confident
        score.data.add_(6)
    assert model.distill['box'](model, of_heads(outputs, outputs)).item() == pytest.approx(
        0, abs=1e-5
    )
    moved = outputs[0], [delta + 0.5 for delta in outputs[1]]
    assert model.distill['box'](model, of_heads(outputs, moved)) > 0.1
    assert model.distill['cls'](model, of_heads(outputs, outputs)).item() == pytest.approx(
        0, abs=1e-5
    )


def test_other_priors_are_refused():
    teacher = retinanet(first=8)
    teacher.bbox_head.anchor_generator.octave_base_scale = 4
    with pytest.raises(ValueError, match='priors of level 0 of the student.*anchor_generator'):
        with_terms(teacher=teacher, cls=CLS)
    teacher.bbox_head.anchor_generator.update(octave_base_scale=2, scales_per_octave=2)
    with pytest.raises(ValueError, match='priors of level 0'):
        with_terms(teacher=teacher, cls=CLS)
    with_terms(teacher=teacher, pkd=PKD)


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match='student has num_classes=3, the teacher 4'):
        with_terms(teacher=retinanet(first=8, classes=4), pkd=PKD)


# Bad input


def test_levels_that_share_no_stride():
    with pytest.raises(ValueError) as error:
        with_terms(pkd=tapped(PKD, 'neck[0]', 'neck[1:]'))
    for part in ("'neck[0]'", "'neck[1:]'", '[4.0] on 128 pixels', '[16.0, 32.0] on 256 pixels'):
        assert part in str(error.value)


def test_an_assistant_of_another_ratio():
    with pytest.raises(ValueError, match='AFPDetector of ratio=3, the distiller has ratio=2'):
        with_terms(teacher=assistant(3), pkd=PKD)


def test_an_assistant_that_reads_the_small_image():
    teacher = dict(cfg=assistant(), view='lr')
    with pytest.raises(ValueError, match="the teacher is an AFPDetector, which reads 'hr'"):
        build(distiller(teacher=teacher, terms=dict(pkd=PKD)))


@pytest.mark.parametrize(
    'student, teacher, told',
    [
        ('nekc', 'neck', "'nekc' names nothing in the student; near it: neck"),
        ('backbone.layer5', 'neck', r'backbone\.layer[123]'),
        ('neck', 'neck.apf', 'names nothing in the teacher.*neck.lateral_convs'),
        ('neck.fpn_convs.9', 'neck', r'neck\.fpn_convs\.0'),
        ('neck', 'roi_head', 'names nothing in the teacher'),
        ('neck[', 'neck', 'write a module'),
        ('neck[5]', 'neck', "'neck' has 3 levels"),
        ('neck', 'bbox_head.loss_cls', 'does not run in a forward pass of the teacher'),
    ],
)
def test_taps_that_name_nothing(student, teacher, told):
    with pytest.raises(ValueError, match=told):
        with_terms(pkd=tapped(PKD, student, teacher))


@pytest.mark.parametrize(
    'terms, told',
    [
        (dict(pkd=dict(PKD, factor=2)), r'terms\.pkd=.*write name=dict\(student=tap'),
        (dict(pkd=dict(student='neck', teacher='neck', weight=1)), r'terms\.pkd='),
        (dict(pkd=dict(PKD, weight='2')), r'terms\.pkd='),
        ({'my-term': PKD}, r'terms\.my-term='),
        (dict(isrd=PKD), r'terms\.isrd='),
    ],
)
def test_bad_terms(terms, told):
    with pytest.raises(ValueError, match=told):
        with_terms(**terms)


@pytest.mark.parametrize(
    'term, told',
    [
        (dict(CLS, student='neck', teacher='neck'), "outputs of dense heads, but tap 'neck'"),
        (dict(PKD, student='bbox_head', teacher='bbox_head'), 'PearsonLoss compares feature maps'),
        (
            dict(CLS, loss=dict(type='MSELoss')),
            "MSELoss is no DenseHeadLoss, but tap 'bbox_head' of the student is a dense head",
        ),
        (dict(CLS, teacher='neck'), 'DenseHeadClsLoss cannot serve FPN'),
        (dict(CLS, loss=dict(type='DenseHeadDistributionLoss')), 'cannot serve RetinaHead'),
    ],
)
def test_losses_at_other_places(term, told):
    with pytest.raises(TypeError, match=told):
        with_terms(term=term)


def test_a_term_that_could_teach_nothing():
    student = retinanet()
    student.backbone.frozen_stages = 1
    with pytest.raises(ValueError, match=r"'backbone\.layer1'.*nothing trainable before it"):
        with_terms(student, pkd=tapped(PKD, 'backbone.layer1', 'neck'))
    train(with_terms(student, pkd=PKD), [batch()])


def test_an_output_that_is_overwritten_is_refused():
    with pytest.raises(ValueError, match=r"'backbone\.bn1': a later module overwrites"):
        with_terms(pkd=tapped(PKD, 'backbone.bn1'))


def test_coarse_levels_of_one_cell_have_one_partner_each():
    maps = [torch.zeros(1, 8, side, side) for side in (4, 2, 1, 1)]
    assert match_levels(maps, maps, ('neck', 'neck'), (128, 128)) == [(i, i) for i in range(4)]


@pytest.mark.parametrize('output', [torch.zeros(8), [torch.zeros(1, 8, 4, 4, 4)], [[1, 2]]])
def test_what_is_no_map_is_no_feature(output):
    with pytest.raises(ValueError, match=r"'neck' puts out no feature maps"):
        feature_maps(Tap.parse('neck'), output)


GRID = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
TOKENS = GRID.flatten(2).transpose(1, 2)


@pytest.mark.parametrize('extra', [0, 1, 2])
def test_tokens_are_laid_out_on_their_square(extra):
    tokens = torch.cat([torch.full((2, extra, 3), -1.0), TOKENS], 1)
    (found,) = feature_maps(Tap.parse('backbone.layers.1'), tokens)
    assert found.equal(GRID)


def test_tokens_that_come_with_a_grid_are_laid_out_on_it():
    wide = GRID.reshape(2, 3, 2, 8)
    for output in ((TOKENS, (2, 8)), [(TOKENS, (2, 8))]):
        (found,) = feature_maps(Tap.parse('backbone.patch_embed'), output)
        assert found.equal(wide)


def test_tokens_without_a_square_are_refused():
    with pytest.raises(ValueError, match='puts out 13 tokens, which form no square grid'):
        feature_maps(Tap.parse('neck'), torch.zeros(1, 13, 8))


def test_a_vector_is_one_cell():
    (found,) = feature_maps(Tap.parse('neck'), (torch.ones(2, 5),))
    assert found.shape == (2, 5, 1, 1)


@pytest.mark.parametrize('student', [retinanet(), assistant()])
def test_a_preprocessor_beside_the_model_is_the_students(student):
    beside = student.get('detector', student).pop('data_preprocessor')
    view = 'hr' if 'detector' in student else 'lr'
    cfg = ConfigDict(type='AFPDistiller', student=student, ratio=2, view=view)
    model = build(cfg | dict(data_preprocessor=beside))
    assert model.data_preprocessor.student.mean.flatten().tolist() == pytest.approx(beside.mean)


@pytest.mark.parametrize('name', ['ssd/ssd300_coco', 'ddod/ddod_r50_fpn_1x_coco'])
def test_detectors_that_cannot_read_the_smallest_photograph(name):
    cfg = get_config(f'mmdet::{name}.py').model
    model = with_terms(cfg, ConfigDict(type='AFPDetector', detector=cfg, ratio=2), cls=CLS)
    assert len(model.distill['cls'].pairs) == len(model.bbox_head.prior_generator.strides)
