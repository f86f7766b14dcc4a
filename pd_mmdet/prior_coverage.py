"""Prior coverage: the share of boxes that the priors of a dense head suit.

The priors suit a box if the head's assigner could assign one of them to it:

- an assigner that needs a positive IoU: the best prior reaches this IoU with the box;
- FCOS, and heads that inherit its targets: a point is assigned to the box;
- any other head: the box contains a point, or the centre of an anchor, of any level.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import torch
from mmdet.models.dense_heads import CondInstBboxHead, FCOSHead, GARPNHead, RPNHead
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor, nn

FACTORS = (1 / sqrt(2), sqrt(2), 1 / 2, 2, 1 / 4, 4)
"""Factors by which the scales of a head's anchors are tried, the smallest change first."""

FIRST_STAGE = (RPNHead, GARPNHead)
PROPOSAL_IOU = 0.5
"""IoU with an object above which the second stage usually takes a proposal as positive."""

Shape = tuple[float, float]
"""(height, width) of an image in pixels of the view that the head reads."""


def priors_of(head: nn.Module | None) -> Any:
    """Return the generator of the priors that a head's assigner assigns to boxes, or None."""
    for name in ('approx_anchor_generator', 'prior_generator'):
        generator = getattr(head, name, None)
        if hasattr(generator, 'base_anchors') or isinstance(generator, MlvlPointGenerator):
            return generator
    return None


def positive_iou(head: nn.Module) -> float | None:
    """Return the IoU above which a head's assigner takes a prior as positive.

    Returns:
        The IoU; 0.5 for a head that has anchors but no assigner; None if the assigner uses no IoU.
    """
    if not hasattr(priors_of(head), 'base_anchors'):
        return None
    assigner = getattr(head, 'assigner', None)
    if assigner is None:
        return 0.5
    # The UniformAssigner takes the nearest priors, but ignores those below pos_ignore_thr.
    thresholds = (getattr(assigner, name, None) for name in ('pos_iou_thr', 'pos_ignore_thr'))
    return next((iou for iou in thresholds if iou is not None), None)


def sufficient_iou(head: nn.Module) -> float | None:
    """Return the IoU that a prior needs to suit a box; None if the assigner uses no IoU.

    For a first stage (RPN) it is at most 0.5, even if the assigner needs more: the assigner also
    takes the best prior of each box as positive, and the second stage takes proposals with an IoU
    of 0.5 or more.
    """
    iou = positive_iou(head)
    return min(iou, PROPOSAL_IOU) if iou is not None and isinstance(head, FIRST_STAGE) else iou


def prior_coverage(
    head: nn.Module, boxes: list[Tensor], img_shapes: list[Shape], iou: float | None = None
) -> float:
    """Compute the share of the boxes that the priors suit.

    Args:
        head: A dense head for which :func:`priors_of` finds a generator.
        boxes: Boxes (n, 4) of each image, x1 y1 x2 y2 in pixels of the view that the head reads.
        img_shapes: (height, width) of each image in that view.
        iou: IoU that a prior needs, instead of :func:`sufficient_iou`.

    Returns:
        A share from 0 to 1; nan if there are no boxes.
    """
    return _share(_suited(head, boxes, img_shapes, iou or sufficient_iou(head)))


def suggest_priors(
    head: nn.Module, boxes: list[Tensor], img_shapes: list[Shape], threshold: float = 0.7
) -> str:
    """Find the smallest change of a head's priors that makes them suit the boxes.

    Other scales of the anchors are tried first (if the assigner uses an IoU), then an additional
    finer level.

    Args:
        head: As for :func:`prior_coverage`.
        boxes: As for :func:`prior_coverage`; at least one image must have boxes.
        img_shapes: As for :func:`prior_coverage`.
        threshold: The coverage to reach, 0 to 1.

    Returns:
        The first change that reaches the threshold, or else the best one, with its coverage:
        ``'octave_base_scale=2 (94 %)'``. If no change is better than the head's priors, it says so.
    """
    generator, iou = priors_of(head), sufficient_iou(head)
    suited = _suited(head, boxes, img_shapes, iou)
    best, name = _share(suited), 'nothing among other scales and a finer start level'
    for factor in FACTORS:
        if not iou:  # the assigner uses no IoU, so scales do not matter
            break
        anchors = [_resized(level, factor) for level in generator.base_anchors]
        share = _share(best_ious(anchors, generator.strides, boxes, img_shapes) >= iou)
        if share > best:
            best, name = share, _scale_option(generator, factor)
        if best >= threshold:
            break
    if best < threshold:
        stride = min(generator.strides)
        first = generator.strides.index(stride)
        finer = [tuple(side / 2 for side in stride)]
        if iou:
            added = best_ious([generator.base_anchors[first] / 2], finer, boxes, img_shapes) >= iou
        else:
            added = contain_a_point([_points(generator)[first] / 2], finer, boxes, img_shapes)
        share = _share(suited | added)
        if share > best:
            best, name = share, f'a finer start level of stride {finer[0][0]:.3g}'
    return f'{name} ({100 * best:.0f} %)'


def best_ious(
    base_anchors: Sequence[Tensor],
    strides: Sequence[tuple[float, float]],
    boxes: list[Tensor],
    img_shapes: list[Shape],
) -> Tensor:
    """Compute the IoU of each box with its best prior.

    The nearer the centres of an anchor and a box are, the more they overlap. So for each anchor
    only the cell nearest to the centre of the box is tried.

    Args:
        base_anchors: Anchors (A, 4) of each level at cell (0, 0), in pixels.
        strides: Stride (x, y) of each level, in pixels.
        boxes: As for :func:`prior_coverage`.
        img_shapes: As for :func:`prior_coverage`; a level has ceil(side / stride) cells.

    Returns:
        IoUs (n,) of the boxes of all images, one image after the other.
    """
    joined, sizes = _joined(boxes, img_shapes)
    best = joined.new_zeros(len(joined))
    for anchors, (x, y) in zip(base_anchors, strides, strict=True):
        stride = joined.new_tensor((x, y))
        last = (sizes / stride).ceil() - 1
        cell = ((_centres(joined)[:, None] - _centres(anchors)) / stride).round().clamp(min=0)
        cell = torch.minimum(cell, last[:, None])
        priors = anchors + (cell * stride).repeat(1, 1, 2)
        best = torch.maximum(best, bbox_overlaps(joined[:, None], priors)[:, 0].amax(-1))
    return best


def contain_a_point(
    base_points: Sequence[Tensor],
    strides: Sequence[tuple[float, float]],
    boxes: list[Tensor],
    img_shapes: list[Shape],
) -> Tensor:
    """Find the boxes that contain a point of any level.

    Args:
        base_points: Points (A, 2) of each level at cell (0, 0), in pixels.
        strides: Stride (x, y) of each level, in pixels.
        boxes: As for :func:`prior_coverage`.
        img_shapes: As for :func:`prior_coverage`; a level has ceil(side / stride) cells.

    Returns:
        Booleans (n,) for the boxes of all images, one image after the other.
    """
    joined, sizes = _joined(boxes, img_shapes)
    found = torch.zeros(len(joined), dtype=torch.bool)
    for points, (x, y) in zip(base_points, strides, strict=True):
        stride = joined.new_tensor((x, y))
        last = (sizes / stride).ceil() - 1
        first_inside = ((joined[:, None, :2] - points) / stride).floor() + 1
        last_inside = ((joined[:, None, 2:] - points) / stride).ceil() - 1
        inside = first_inside.clamp(min=0) <= torch.minimum(last_inside, last[:, None])
        found |= inside.all(-1).any(-1)
    return found


def _suited(
    head: nn.Module, boxes: list[Tensor], img_shapes: list[Shape], iou: float | None
) -> Tensor:
    generator = priors_of(head)
    if iou:
        return best_ious(generator.base_anchors, generator.strides, boxes, img_shapes) >= iou
    if assigns_points(head):
        return torch.cat([_assigned(head, *image) for image in zip(boxes, img_shapes, strict=True)])
    return contain_a_point(_points(generator), generator.strides, boxes, img_shapes)


def assigns_points(head: nn.Module) -> bool:
    """Tell whether a head assigns points to boxes as FCOS does."""
    fcos = (FCOSHead.get_targets, CondInstBboxHead.get_targets)
    return getattr(type(head), 'get_targets', None) in fcos


def _assigned(head: FCOSHead, boxes: Tensor, img_shape: Shape) -> Tensor:
    """Find the boxes (n, 4) of an image to which FCOS assigns a point: booleans (n,)."""
    generator, (height, width) = head.prior_generator, img_shape
    sizes = [(ceil(height / y), ceil(width / x)) for x, y in generator.strides]
    points = generator.grid_priors(sizes, dtype=boxes.dtype, device=boxes.device)
    # Each box gets another label, so that the assigned boxes can be read from the labels.
    labels = head.num_classes + 1 + torch.arange(len(boxes))
    assigned, *_ = head.get_targets(points, [InstanceData(bboxes=boxes, labels=labels)])
    return torch.isin(labels, torch.cat(assigned))


def _points(generator: Any) -> list[Tensor]:
    """Return the points, or centres of anchors, (A, 2) at cell (0, 0) of each level."""
    if isinstance(generator, MlvlPointGenerator):
        return [generator.offset * torch.tensor([stride]) for stride in generator.strides]
    return [_centres(anchors) for anchors in generator.base_anchors]


def _joined(boxes: list[Tensor], img_shapes: list[Shape]) -> tuple[Tensor, Tensor]:
    """Join the boxes (n, 4) of all images; also return their image sizes (n, 2), width first."""
    sizes = [
        each.new_tensor(shape[::-1]).expand(len(each), 2)
        for each, shape in zip(boxes, img_shapes, strict=True)
    ]
    return torch.cat(boxes), torch.cat(sizes)


def _share(suited: Tensor) -> float:
    return suited.float().mean().item()


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _resized(anchors: Tensor, factor: float) -> Tensor:
    centres = _centres(anchors).repeat(1, 2)
    return centres + (anchors - centres) * factor


def _scale_option(generator: Any, factor: float) -> str:
    """Return the option of a config that makes all anchors ``factor`` times as large."""
    if getattr(generator, 'octave_base_scale', None):
        return f'octave_base_scale={generator.octave_base_scale * factor:.3g}'
    scales = getattr(generator, 'scales', None)
    if isinstance(scales, Tensor):
        return f'scales=[{", ".join(f"{scale * factor:.3g}" for scale in scales.tolist())}]'
    return f'anchors {factor:.3g} times as large'
