"""Terms on the heads of whole detectors; what each head puts out, tests/losses has."""

from copy import deepcopy
from fractions import Fraction

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub

from pd_mmdet.distillers.terms.dense_head import check_same_priors
from tests.helpers.one_stage import CHANNELS, CLASSES, ZOO, detector
from tests.helpers.tiny import CLS, batch, build, distiller, of_heads, train


def assistant(name):
    return ConfigDict(type='AFPDetector', detector=detector(name), ratio=2)


def with_terms(student, teacher, *losses, **options):
    """A distiller whose terms are named by their losses."""
    terms = {
        loss: dict(CLS, loss=dict(type=f'DenseHead{loss}Loss', **options.get(loss, {})))
        for loss in losses
    }
    return build(distiller(student, teacher=dict(cfg=teacher), terms=terms))


def losses_of(name):
    return ['Cls'] if name == 'SABLRetina' else ['Cls', 'Box']


@pytest.mark.parametrize('name', ZOO)
@torch.no_grad()
def test_an_assistant_that_answers_alike_has_nothing_to_teach(name):
    model = with_terms(detector(name), assistant(name), *losses_of(name), Box=dict(score_thr=0.0))
    sides = [(12, 8), (6, 4), (3, 2), (2, 1), (1, 1)][: len(model.neck.fpn_convs)]
    assert model.distill['Cls'].pairs == [(i, i) for i in range(len(sides))]
    head, assistants = model.bbox_head, model.teacher.model.bbox_head
    if name == 'RTMDet':  # unlike those of the others its distances may be negative
        for reg in head.rtm_reg:
            reg.bias.fill_(2)
    assistants.load_state_dict(head.state_dict())
    head.eval().training = assistants.training = True
    feats = [torch.randn(2, CHANNELS, *side) for side in sides]
    own, other = head(feats), assistants(feats)
    for loss in losses_of(name):
        assert model.distill[loss](model, of_heads(own, other)).abs() < 1e-5


@pytest.mark.parametrize('name', ZOO)
def test_a_step_with_another_assistant(name):
    MessageHub.get_current_instance().update_info('epoch', 0)  # TOOD reads it
    model = with_terms(detector(name), assistant(name), *losses_of(name), Box=dict(score_thr=0.0))
    before = deepcopy(model.bbox_head.state_dict())
    (log,) = train(model, [batch()])
    assert all(0 < log[f'distill_{loss}_loss'] < 3 for loss in losses_of(name))
    after = model.bbox_head.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def random_maps(channels, levels):
    """Maps of 4 x 4 cells for an output with ``channels``, one a level."""
    return [torch.rand(1, channels, 4, 4) + 0.1 for _ in range(levels)]


@pytest.mark.parametrize(
    'name, channels, factor',
    [('VFNet', 4, 2), ('CenterNetUpdate', 4, 1), ('RTMDet', 4, 2), ('RepPoints', 18, 1)],
)
@torch.no_grad()
def test_a_teachers_own_pixels_are_brought_to_the_students(name, channels, factor):
    """The same box is as many strides, and twice as many pixels, a level higher."""
    model = with_terms(detector(name), detector(name), 'Cls', 'Box', Box=dict(score_thr=0.0))
    levels = len(model.neck.fpn_convs)
    assert model.distill['Box'].pairs == [(i, i + 1) for i in range(levels - 1)]
    boxes = random_maps(channels, levels)
    own = random_maps(CLASSES, levels), boxes, boxes  # of RepPoints the last are read
    scores, same, _ = ([maps[0], *maps[:-1]] for maps in own)
    for loss in ('Cls', 'Box'):
        scaled = [factor * each for each in same]
        assert model.distill[loss](model, of_heads(own, (scores, scaled, scaled))).abs() < 1e-5
    unscaled = [2 / factor * each for each in same]
    assert model.distill['Box'](model, of_heads(own, (scores, unscaled, unscaled))) > 0.1


@torch.no_grad()
def test_boxes_are_decoded_by_the_head_that_made_them():
    """RepPoints learns how large a box its points make."""
    cfgs = detector('RepPoints'), assistant('RepPoints')
    model = with_terms(*cfgs, 'Box', Box=dict(score_thr=0.0))
    outputs = [random_maps(channels, levels=5) for channels in (CLASSES, 18, 18)]
    assert model.distill['Box'](model, of_heads(outputs, outputs)).abs() < 1e-5
    model.teacher.model.bbox_head.moment_transfer += 1
    assert model.distill['Box'](model, of_heads(outputs, outputs)) > 0.1


def test_heads_of_two_kinds_on_the_same_anchors():
    model = with_terms(detector('ATSS'), detector('GFL'), 'Cls', 'Box', Box=dict(score_thr=0.0))
    (log,) = train(model, [batch()])
    assert 0 < log['distill_Cls_loss'] and 0 < log['distill_Box_loss']


# What is refused


def test_points_at_other_places():
    told = (
        r'priors of level 0 of the student, points from \[4.0, 4.0\] every 8 pixels, times 2 '
        r'are not those of level 1 of the teacher, points from \[0.0, 0.0\] every 16 pixels: '
        '.*strides'
    )
    with pytest.raises(ValueError, match=told):
        with_terms(detector('FCOS'), detector('AutoAssign'), 'Cls')


def test_points_and_anchors():
    with pytest.raises(ValueError, match='priors of level 0'):
        with_terms(detector('FCOS'), detector('ATSS'), 'Cls')


def test_points_at_other_distances():
    points = MODELS.build(detector('RepPoints').bbox_head)  # the first of each level is at 0, 0
    check_same_priors(points, points, [(0, 1), (1, 2)], Fraction(2))
    with pytest.raises(ValueError, match='every 16 pixels, times 2 .* every 16 pixels'):
        check_same_priors(points, points, [(0, 1), (1, 1)], Fraction(2))


def test_anchors_at_other_distances():
    cfg = detector('ATSS').bbox_head
    cfg.anchor_generator.update(base_sizes=[8, 16, 32, 64, 128])
    same = MODELS.build(cfg)
    cfg.anchor_generator.strides = [8, 20, 32, 64, 128]
    with pytest.raises(ValueError, match='level 1 .* every 16 pixels.* every 20 pixels'):
        check_same_priors(same, MODELS.build(cfg), [(0, 0), (1, 1)], Fraction(1))


def test_other_regress_ranges_are_not():
    teacher = detector('FCOS')
    teacher.bbox_head.regress_ranges = ((-1, 32), (32, 64), (64, 128), (128, 256), (256, 1e8))
    with_terms(detector('FCOS'), teacher, 'Cls', 'Box')


def test_other_scores_and_other_bins():
    softmax = detector('ATSS')
    softmax.bbox_head.loss_cls = dict(type='CrossEntropyLoss', use_sigmoid=False)
    with pytest.raises(TypeError, match="student's ATSSHead sigmoid scores.*ATSSHead softmax"):
        with_terms(detector('ATSS'), softmax, 'Cls')
    bins = detector('GFL')
    bins.bbox_head.reg_max = 8
    with pytest.raises(TypeError, match='the student has reg_max=16, the teacher 8'):
        with_terms(detector('GFL'), bins, 'Distribution')
    with_terms(detector('GFL'), bins, 'Box')


@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_heads_that_a_loss_does_not_serve(side):
    pair = [detector('ATSS'), detector('ATSS')]
    pair[side == 'teacher'] = detector('SABLRetina')
    with pytest.raises(
        TypeError, match='DenseHeadBoxLoss cannot serve SABLRetinaHead: needs boxes'
    ):
        with_terms(*pair, 'Box')
