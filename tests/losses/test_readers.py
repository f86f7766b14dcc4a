"""Compare what is read of heads in training with what they themselves predict, in eval."""

import math
from dataclasses import replace

import pytest
import torch
from mmdet.models.dense_heads import RTMDetHead
from mmengine.config import ConfigDict

from pd_mmdet.losses.readers import DenseHeadOutput, product_logit
from tests.helpers.dense_heads import BATCH, HEADS, build, head_cfg, predicted, pyramid

WITH_BOXES = [name for name in HEADS if name not in ('SABLRetina', 'GARetina')]
IMAGE = dict(img_shape=(10**6, 10**6), scale_factor=(1.0, 1.0))
EVERYTHING = dict(
    score_thr=-1.0,
    conf_thr=-1,
    nms_pre=10**6,
    min_bbox_size=-1,
    nms=dict(type='nms', iou_threshold=1.0),
    iou_thr=1.0,
    top_k=10**6,
    max_per_img=10**6,
)


def all_rows(one):
    return torch.arange(len(one.class_logits()))


def what_it_predicts(head):
    """Scores (P,) and boxes (P, 4) of all priors (and classes) by the head's own prediction."""
    outputs = head.eval()(pyramid(head))
    if isinstance(head, RTMDetHead):  # of instances the masks are left out
        head.__class__, outputs = RTMDetHead, outputs[:2]
    head.with_score_voting = False  # PAA
    head.loss_cls = None  # SSDHead looks for it, but has none
    with_nms = type(head).__name__ in ('PAAHead', 'RPNHead')  # without it these refuse
    found = head.predict_by_feat(
        *outputs,
        batch_img_metas=[IMAGE] * BATCH,
        cfg=ConfigDict(EVERYTHING),
        with_nms=with_nms,
    )
    return torch.cat([one.scores for one in found]), torch.cat([one.bboxes for one in found])


def in_one_order(scores, boxes):
    """Scores (in thousandths) and boxes (P, 5), clipped as predictions are, in one order."""
    rows = torch.cat([1000 * scores[:, None], boxes.clamp(min=0)], 1).double()
    return rows[(rows @ torch.tensor([7.0, 5, 3, 2, 1]).double()).argsort()]


@pytest.mark.parametrize('name', WITH_BOXES)
@torch.no_grad()
def test_boxes_and_confidences_are_those_that_the_head_predicts(name):
    head = build(head_cfg(name))
    one = predicted(head)
    found = in_one_order(one.confidence(), one.boxes(all_rows(one)))
    expected = in_one_order(*what_it_predicts(head))
    assert (expected[:, 1:] > 0).double().mean() >= 0.5  # what is clipped says nothing
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('name', ['Retina', 'SSD', 'TOOD', 'AutoAssign', 'YOLOV3'])
@torch.no_grad()
def test_class_logits_are_those_of_the_scores_that_the_head_predicts(name):
    head = build(head_cfg(name, classes=3))
    logits = predicted(head).class_logits()
    scores = logits.softmax(1)[:, :-1] if name == 'SSD' else logits.sigmoid()
    expected, _ = what_it_predicts(head)
    torch.testing.assert_close(scores.flatten().sort()[0], expected.sort()[0])


@pytest.mark.parametrize('name', ['FCOS', 'ATSS', 'PAA', 'DDOD'])
@torch.no_grad()
def test_class_logits_of_a_head_that_trains_them_alone_are_its_own(name):
    one = predicted(build(head_cfg(name, classes=3)))
    own = [level.permute(0, 2, 3, 1).reshape(-1, 3) for level in one.outputs[0]]
    assert torch.equal(one.class_logits(), torch.cat(own))


@torch.no_grad()
def test_the_confidence_is_that_of_the_best_class():
    one = predicted(build(head_cfg('YOLOX', classes=3)))
    best = [level.amax(1).sigmoid() for level in one.outputs[0]]
    objectness = [level[:, 0].sigmoid() for level in one.outputs[2]]
    expected = torch.cat([(a * b).flatten() for a, b in zip(best, objectness)])
    torch.testing.assert_close(one.confidence(), expected)


def test_the_logit_of_a_product():
    a, b = torch.meshgrid(*[torch.linspace(-8, 8, 17).double()] * 2, indexing='ij')
    torch.testing.assert_close(product_logit(a, b).sigmoid(), a.sigmoid() * b.sigmoid())
    a = torch.tensor([-90.0, 90, 90, 0], requires_grad=True)
    logits = product_logit(a, torch.tensor([-90.0, 90, -90, 0]))
    torch.testing.assert_close(logits, torch.tensor([-180, 90 - math.log(2), -90, -math.log(3)]))
    logits.sum().backward()
    assert a.grad.isfinite().all()


@pytest.mark.parametrize('name', WITH_BOXES)
def test_no_box_at_all(name):
    one = predicted(build(head_cfg(name)))
    boxes = one.boxes(torch.zeros(0, dtype=torch.long))
    assert boxes.shape == (0, 4)
    boxes.sum().backward()


@pytest.mark.parametrize('name', ['Retina', 'GFL', 'FCOSInStrides', 'RepPoints', 'YOLOX', 'SSD'])
@torch.no_grad()
def test_levels_and_rows_may_be_chosen(name):
    one = predicted(build(head_cfg(name)))
    boxes = one.boxes(all_rows(one))
    counts = [len(all_rows(replace(one, levels=[level]))) for level in range(3)]
    start, stop = counts[0], sum(counts)
    some = replace(one, levels=[1, 2])
    torch.testing.assert_close(some.boxes(all_rows(some)), boxes[start:stop])
    torch.testing.assert_close(one.boxes(torch.tensor([start, 3])), boxes[[start, 3]])


def test_priors_are_made_once_for_maps_of_a_size(monkeypatch):
    head = build(head_cfg('GFL'))
    one = predicted(head)
    rows = all_rows(one)
    with torch.inference_mode():
        one.boxes(rows)
    made = []
    make = head.prior_generator.single_level_grid_priors
    monkeypatch.setattr(
        head.prior_generator,
        'single_level_grid_priors',
        lambda size, *args, **kwargs: made.append(size) or make(size, *args, **kwargs),
    )
    boxes = one.boxes(rows)
    boxes.sum().backward()  # what is cached in testing also serves training
    assert not made
    lower = [[each[..., :-1, :] for each in maps] for maps in one.outputs]
    fewer_outputs = replace(one, outputs=lower)
    fewer = fewer_outputs.boxes(all_rows(fewer_outputs))
    assert made == [each.shape[-2:] for each in lower[0]]
    maps = one.outputs[0]
    inside = torch.cat([row_numbers(each).lt(each.shape[2] - 1).flatten() for each in maps])
    torch.testing.assert_close(fewer, boxes[inside])


def row_numbers(maps):
    """For each cell (N, H, W) of maps (N, C, H, W) its row."""
    return torch.arange(maps.shape[2])[:, None].expand(maps[:, 0].shape)


UNLIKE_LEVELS = ('SSD', 'YOLOF', 'YOLACT', 'YOLOV3', 'RetinaLegacy')
IN_PIXELS = ('FCOS', 'NASFCOS', 'AutoAssign', 'VFNet', 'VFNetInStrides')


@pytest.mark.parametrize('name', [name for name in WITH_BOXES if name not in UNLIKE_LEVELS])
@torch.no_grad()
def test_a_box_found_a_level_higher_on_an_image_twice_as_large_is_the_same_box(name):
    """There deltas and distances in strides are the same, distances in pixels twice as large."""
    head = build(head_cfg(name))
    own = predicted(head, levels=[0])
    factor = 2 if name in IN_PIXELS or isinstance(head, RTMDetHead) else 1
    moved = [[None, maps[0] * (factor if i else 1)] for i, maps in enumerate(own.outputs[:3])]
    other = DenseHeadOutput(head, moved, levels=[1], scale=2)
    rows = all_rows(own)
    torch.testing.assert_close(other.boxes(rows), own.boxes(rows))
