"""Detectors with sub-cells: alone, as assistants, and as students."""

import copy
import pickle
from fractions import Fraction

import pytest
import torch
from mmdet.models import RetinaNet

from pd_mmdet.afp import AFPDetector
from pd_mmdet.sub_cells import SubCellDetector
from pd_mmdet.testing.invariants import CHECKS, Pair
from pd_mmdet.testing.zoo.configs import annotations_of
from tests.helpers.slim import CLASSES, slim, zoo_config
from tests.helpers.tiny import BOX, CLS, PKD, batch, build, distiller, forward, retinanet, train


def with_cells(cells: object = 2, **detector: object) -> dict:
    return dict(type='SubCellDetector', detector=retinanet(**detector), cells=cells)


def assistant(cells: int = 2, ratio: int | str = 2) -> dict:
    return dict(type='AFPDetector', detector=with_cells(cells), ratio=ratio)


def test_it_is_the_detector():
    model = build(with_cells())
    assert isinstance(model, SubCellDetector) and isinstance(model, RetinaNet)
    assert model.state_dict().keys() == build(retinanet()).state_dict().keys()


def test_one_cell_changes_nothing():
    plain, model = build(retinanet()).train(), build(with_cells(1)).train()
    data = plain.data_preprocessor(batch(views=['hr']), True)
    torch.testing.assert_close(
        model(**data, mode='loss'), plain(**data, mode='loss'), rtol=0, atol=0
    )


def test_a_fresh_one_starts_as_the_head_says():
    """RetinaNet's classes start with a score of 0.01, for each sub-cell."""
    model = build(with_cells())
    model.init_weights()
    assert model.bbox_head.retina_cls.bias.sigmoid().allclose(torch.tensor(0.01))
    assert model.bbox_head.retina_cls.weight.std() < 0.02


@pytest.mark.parametrize(
    ('family', 'cells', 'ratio'),
    [
        ('RetinaNet', 2, '2'),
        ('FCOS', 2, '5/2'),
        ('ATSS', 2, '2'),
        ('GFL', 4, '4'),
        ('RTMDet', 2, '2'),
        ('YOLOX', 2, '2'),
        ('FasterRCNN', 2, '2'),
        ('HTC', 2, '2'),
    ],
)
def test_invariants_1_to_4_with_sub_cells(family, cells, ratio):
    annotations = annotations_of(zoo_config(family))
    annotations = annotations._replace(classes=min(annotations.classes, CLASSES))
    cfg = dict(type='SubCellDetector', detector=slim(family), cells=cells)
    pair = Pair.build(cfg, Fraction(ratio), annotations)
    for _, check in CHECKS:
        check(pair)


def test_the_assistant_has_the_outputs_of_the_student_and_its_features():
    model, student = build(assistant()), build(with_cells())
    assert isinstance(model, AFPDetector)
    image = torch.rand(1, 3, 128, 192)
    large, small = model.eval()(image), student.eval()(image[..., ::2, ::2])
    assert [each.shape for each in large[0]] == [each.shape for each in small[0]]
    assert small[0][0].shape[-2:] == (32, 48)  # stride 4, halved by the sub-cells


def test_a_student_learns_from_its_assistant():
    terms = dict(pkd=PKD, cls=CLS, box=BOX)
    cfg = distiller(with_cells(), teacher=dict(cfg=assistant()), terms=terms, isrd=dict(weight=1.0))
    model = build(cfg)
    logged = train(model, [batch(seed=seed) for seed in range(2)])
    assert all(step['distill_cls_loss'] > 0 and step['loss'].isfinite() for step in logged)


@pytest.mark.parametrize('stage', ['assistant', 'student'])
def test_with_c_as_the_ratio_the_heads_of_any_detector_of_the_large_image_are_teachers(stage):
    """Its strides are twice, and its anchors, as large as those of the sub-cells."""
    teacher = retinanet()
    teacher.bbox_head.anchor_generator.octave_base_scale = 4  # the student's is 2
    student, view = (assistant(), 'hr') if stage == 'assistant' else (with_cells(), 'lr')
    cfg = distiller(student, view=view, teacher=dict(cfg=teacher), terms=dict(cls=CLS, box=BOX))
    views = ('hr', 'lr') if view == 'lr' else ('hr',)
    losses = forward(build(cfg).train(), batch(views=views))
    assert losses['distill_cls_loss'] > 0


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_a_distilled_assistant_are_the_same(copied):
    model = build(distiller(assistant(), view='hr', teacher=dict(cfg=retinanet())))
    twin = copied(model)
    assert type(twin) is type(model) and twin.bbox_head.retina_cls.cells == 2
    assert type(twin).__mro__[1:] == type(model).__mro__[1:]


@pytest.mark.parametrize('cells', [0, -1, 1.5, True, '2'])
def test_cells_must_be_a_whole_number(cells):
    with pytest.raises(ValueError, match=f'cells={cells!r}: must be a whole number'):
        build(with_cells(cells))


@pytest.mark.parametrize('cfg', [assistant(3), distiller(with_cells(3), ratio=2)])
def test_no_more_cells_than_the_teacher_has(cfg):
    with pytest.raises(ValueError, match='cells=3: .*at ratio=2 .*at most 2'):
        build(cfg)


def test_a_detector_without_a_dense_head_is_refused():
    with pytest.raises(NotImplementedError, match='sub-cells of a FastRCNN: it has no dense head'):
        build(dict(type='SubCellDetector', detector=slim('FastRCNN'), cells=2))


def test_sub_cells_beyond_those_of_the_teacher_are_not_compared():
    """Of 40 pixels a stride of 16 makes 3 cells, 6 sub-cells; of 80 pixels it makes 5."""
    teacher = retinanet()
    teacher.bbox_head.anchor_generator.octave_base_scale = 4
    terms = dict(cls=CLS, box=BOX)
    model = build(distiller(with_cells(), teacher=dict(cfg=teacher), terms=terms)).train()
    images = dict(student=torch.randn(1, 3, 40, 72), teacher=torch.randn(1, 3, 80, 144))
    sample = batch()['data_samples'][0]
    sample.set_metainfo(dict(img_shape=(40, 72), pad_shape=(40, 72), batch_input_shape=(40, 72)))
    losses = model.loss(images, [sample])
    with torch.no_grad():
        maps = model.bbox_head(model.extract_feat(images['student']))[0]
        wanted = model.teacher.model.bbox_head(model.teacher.model.extract_feat(images['teacher']))[
            0
        ]
    assert [tuple(each.shape[-2:]) for each in maps] == [(20, 36), (10, 18), (6, 10)]
    assert [tuple(each.shape[-2:]) for each in wanted] == [(20, 36), (10, 18), (5, 9)]
    assert losses['distill_cls_loss'].isfinite()
