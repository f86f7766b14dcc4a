import math

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import register_all_modules

from pd_mmdet.losses import RoIHeadBoxLoss, RoIHeadClsLoss, roi_head
from pd_mmdet.losses.roi_head import RoIHeadOutput

register_all_modules()
CLASSES, ROIS = 3, 12
STDS = (0.1, 0.1, 0.2, 0.2)


def head(type='BBoxHead', stds=STDS, **options):
    coder = dict(type='DeltaXYWHBBoxCoder', target_means=(0.0,) * 4, target_stds=stds)
    cfg = dict(
        type=type, num_classes=CLASSES, in_channels=2, roi_feat_size=2, bbox_coder=coder, **options
    )
    return MODELS.build(cfg)


def judged(seed, rois=ROIS, boxes=CLASSES):
    """Random RoIs of two images, the same for all seeds, and what a head may say of them."""
    random = torch.Generator().manual_seed(0)
    corners = 40 * torch.rand(rois, 2, generator=random)
    sizes = 4 + 30 * torch.rand(rois, 2, generator=random)
    image = (torch.arange(rois) % 2)[:, None]
    random.manual_seed(seed)
    return RoIHeadOutput(
        stage=0,
        rois=torch.cat([image, corners, corners + sizes], 1),
        cls_score=(3 * torch.randn(rois, CLASSES + 1, generator=random)).requires_grad_(),
        bbox_pred=torch.randn(rois, 4 * boxes, generator=random).requires_grad_(),
    )


def decoded(roi, deltas):
    """Faster R-CNN's parametrisation, equations 2 of its paper, with the coder's deviations."""
    x1, y1, x2, y2 = roi[1:].tolist()
    dx, dy, dw, dh = (delta * std for delta, std in zip(deltas.tolist(), STDS))
    x, y = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
    w, h = (x2 - x1) * math.exp(dw), (y2 - y1) * math.exp(dh)
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def expected_box_loss(student, teacher, score_thr, boxes=CLASSES):
    total, weights = 0.0, 0.0
    for i, roi in enumerate(student.rois):
        scores = teacher.cls_score[i].softmax(0)
        weight = scores[:CLASSES].sum().item()
        if weight < score_thr:
            continue
        label = int(scores[:CLASSES].argmax()) if boxes > 1 else 0
        own, other = (
            torch.tensor([decoded(roi, side.bbox_pred[i].view(boxes, 4)[label])])
            for side in (student, teacher)
        )
        giou = bbox_overlaps(own, other, mode='giou').item()
        total, weights = total + weight * (1 - giou), weights + weight
    return total / max(weights, 1)


# Classification


def test_one_roi_by_hand():
    # The teacher says 1/4, 3/4, 0, 0 and the student 1/2, 1/2, 0, 0.
    none = -60.0
    student = judged(0, rois=1)._replace(cls_score=torch.tensor([[0.0, 0.0, none, none]]))
    teacher = student._replace(cls_score=torch.tensor([[0.0, math.log(3), none, none]]))
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert RoIHeadClsLoss()(head(), student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_the_mean_over_rois():
    student, teacher = judged(1), judged(2)
    q, p = (side.cls_score.softmax(1).double() for side in (student, teacher))
    expected = (p * (p / q).log()).sum(1).mean().item()
    assert RoIHeadClsLoss()(head(), student, teacher).item() == pytest.approx(expected, rel=1e-5)


# Boxes


@pytest.mark.parametrize('boxes', [CLASSES, 1])
@pytest.mark.parametrize('score_thr', [0.0, 0.5, 0.9])
def test_boxes_of_the_teachers_best_class(boxes, score_thr):
    student, teacher = judged(1, boxes=boxes), judged(2, boxes=boxes)
    loss = RoIHeadBoxLoss(score_thr)(head(reg_class_agnostic=boxes == 1), student, teacher)
    expected = expected_box_loss(student, teacher, score_thr, boxes)
    assert expected > 0.1
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_no_confident_teacher_gives_nought():
    student, teacher = judged(1), judged(2)
    teacher.cls_score.data[:, -1] = 60
    loss = RoIHeadBoxLoss()(head(), student, teacher)
    loss.backward()
    assert loss.item() == 0
    assert not student.bbox_pred.grad.any()


def test_the_weights_are_those_of_all_processes(monkeypatch):
    monkeypatch.setattr(roi_head, 'reduce_mean', lambda value: 2 * value)
    student, teacher = judged(1), judged(2)
    loss = RoIHeadBoxLoss(0.0)(head(), student, teacher)
    assert loss.item() == pytest.approx(expected_box_loss(student, teacher, 0.0) / 2, rel=1e-4)


# Both


@pytest.mark.parametrize('loss', [RoIHeadClsLoss(), RoIHeadBoxLoss(0.0)])
def test_the_student_learns_and_the_teacher_does_not(loss):
    student, teacher = judged(1), judged(2)
    loss(head(), student, teacher).backward()
    learns = student.cls_score if isinstance(loss, RoIHeadClsLoss) else student.bbox_pred
    assert learns.grad.abs().sum() > 0
    assert teacher.cls_score.grad is None and teacher.bbox_pred.grad is None


@pytest.mark.parametrize('loss', [RoIHeadClsLoss(), RoIHeadBoxLoss(0.0)])
def test_equal_answers_give_nought(loss):
    student = judged(1)
    assert loss(head(), student, student).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('loss', [RoIHeadClsLoss(), RoIHeadBoxLoss(0.0)])
def test_no_rois_give_nought(loss):
    assert loss(head(), judged(1, rois=0), judged(2, rois=0)).item() == 0


@pytest.mark.parametrize('loss', [RoIHeadClsLoss(), RoIHeadBoxLoss(0.0)])
def test_half_precision_is_compared_in_float32(loss):
    student, teacher = judged(1), judged(2)
    half = [
        side._replace(cls_score=side.cls_score.bfloat16(), bbox_pred=side.bbox_pred.bfloat16())
        for side in (student, teacher)
    ]
    value = loss(head(), *half)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(head(), student, teacher).item(), rel=0.05)


@pytest.mark.parametrize('loss', [RoIHeadClsLoss(), RoIHeadBoxLoss()])
def test_what_has_no_softmax_is_refused(loss):
    seesaw = dict(type='SeesawLoss', num_classes=CLASSES)
    sigmoid = dict(type='CrossEntropyLoss', use_sigmoid=True)
    crowd = head('MultiInstanceBBoxHead', num_shared_fcs=1, fc_out_channels=2)
    for other, told in (
        (head(loss_cls=seesaw), 'cannot serve BBoxHead: .*trained by SeesawLoss'),
        (head(loss_cls=sigmoid), 'cannot serve BBoxHead: .*trained by CrossEntropyLoss'),
        (head(with_cls=False), 'cannot serve BBoxHead'),
        (crowd, 'cannot serve MultiInstanceBBoxHead'),
        (torch.nn.Linear(2, 2), 'cannot serve Linear'),
    ):
        for pair in ((head(), other), (other, head())):
            with pytest.raises(TypeError, match=told):
                loss.check_pair(*pair)
    loss.check_pair(head(), head('Shared2FCBBoxHead', fc_out_channels=4))


def test_boxes_that_cannot_be_decoded_are_refused():
    with pytest.raises(TypeError, match='needs boxes as DeltaXYWHBBoxCoder encodes them'):
        RoIHeadBoxLoss().check_pair(head(), head(with_reg=False))
    sabl = MODELS.build(dict(type='SABLHead', num_classes=CLASSES))
    with pytest.raises(TypeError, match='RoIHeadBoxLoss cannot serve SABLHead: needs boxes as'):
        RoIHeadBoxLoss().check_pair(sabl, sabl)
    RoIHeadClsLoss().check_pair(sabl, sabl)


def test_boxes_that_are_encoded_differently_are_refused():
    other = head(stds=(0.05, 0.05, 0.1, 0.1))
    with pytest.raises(ValueError, match='target_stds.*0.2.*the teacher.*0.05'):
        RoIHeadBoxLoss().check_pair(head(), other)
    RoIHeadClsLoss().check_pair(head(), other)
