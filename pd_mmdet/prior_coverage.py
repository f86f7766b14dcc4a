"""Which boxes the priors of a dense head suit.

A box counts if the head's own assigner could take a prior for it:

- where that asks for an overlap, if its best prior reaches this IoU;
- in FCOS and what inherits its targets, if a point is assigned to it;
- in any other head, if it contains a point, or the centre of an anchor, of any level.
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
"""Scales that are tried in place of those of a head, times its own: the smallest change first."""

FIRST_STAGE = (RPNHead, GARPNHead)
PROPOSAL_IOU = 0.5
"""From which a second stage, as a rule, takes what the first one found for the object."""

Shape = tuple[float, float]
"""(height, width) in pixels of the view that a head reads."""


def priors_of(head: nn.Module | None) -> Any:
    """The generator of the priors to which a head's assigner gives boxes; None if it has none."""
    for name in ('approx_anchor_generator', 'prior_generator'):
        generator = getattr(head, name, None)
        if hasattr(generator, 'base_anchors') or isinstance(generator, MlvlPointGenerator):
            return generator
    return None


def positive_iou(head: nn.Module) -> float | None:
    """The IoU from which a head's assigner takes a prior for positive; None if it looks at places.

    It is 0.5 for a head with anchors and no assigner.
    """
    if not hasattr(priors_of(head), 'base_anchors'):
        return None
    assigner = getattr(head, 'assigner', None)
    if assigner is None:
        return 0.5
    # The UniformAssigner takes the nearest priors, but ignores those below the latter.
    thresholds = (getattr(assigner, name, None) for name in ('pos_iou_thr', 'pos_ignore_thr'))
    return next((iou for iou in thresholds if iou is not None), None)


def sufficient_iou(head: nn.Module) -> float | None:
    """The IoU by which the priors are judged: an RPN's need not be as good as its assigner asks.

    That takes the best prior of a box for positive, too, and the second stage takes the proposals
    from 0.5 on.
    """
    iou = positive_iou(head)
    return min(iou, PROPOSAL_IOU) if iou is not None and isinstance(head, FIRST_STAGE) else iou


def prior_coverage(
    head: nn.Module, boxes: list[Tensor], img_shapes: list[Shape], iou: float | None = None
) -> float:
    """Share of the boxes that the priors suit.

    Args:
        head: A dense head that :func:`priors_of` knows.
        boxes: For each image its boxes (n, 4), x1 y1 x2 y2 in pixels of the view the head reads.
        img_shapes: For each image its size in that view.
        iou: Another IoU than :func:`sufficient_iou`.

    Returns:
        Between 0 and 1; nan where there are no boxes.
    """
    return _share(_suited(head, boxes, img_shapes, iou or sufficient_iou(head)))


def suggest_priors(
    head: nn.Module, boxes: list[Tensor], img_shapes: list[Shape], threshold: float = 0.7
) -> str:
    """Name the smallest change of a head's priors that would suit the boxes.

    Other scales of anchors are tried first, where overlaps count, then one finer start level.

    Args:
        head: As for :func:`prior_coverage`, and so the boxes and shapes.
        boxes: At least one image must have some.
        img_shapes: See above.
        threshold: The coverage that suits.

    Returns:
        The first change that reaches the threshold, else the best one if any is better than the
        head's own, and its coverage: ``'octave_base_scale=2 (94 %)'``.
    """
    generator, iou = priors_of(head), sufficient_iou(head)
    suited = _suited(head, boxes, img_shapes, iou)
    best, name = _share(suited), 'nothing among other scales and a finer start level'
    for factor in FACTORS:
        if not iou:  # the head looks at places, not at overlaps
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
    """IoU of each box, of all images in turn, with its best prior.

    An anchor overlaps a box the more, in x and in y alone, the nearer their centres are; so of
    all places on its grid the one nearest to the box's centre is the best, and only that one is
    looked at.

    Args:
        base_anchors: For each level its anchors (A, 4) at cell (0, 0), in pixels.
        strides: For each level (x, y).
        boxes: As for :func:`prior_coverage`.
        img_shapes: See above; a level has ceil(side / stride) cells.
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
    """Whether a point of any level lies inside of each box, of all images in turn.

    Args:
        base_points: For each level its points (A, 2) at cell (0, 0), in pixels.
        strides: For each level (x, y).
        boxes: As for :func:`prior_coverage`.
        img_shapes: See above; a level has ceil(side / stride) cells.
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
    """Whether a head gives points to boxes as FCOS does."""
    fcos = (FCOSHead.get_targets, CondInstBboxHead.get_targets)
    return getattr(type(head), 'get_targets', None) in fcos


def _assigned(head: FCOSHead, boxes: Tensor, img_shape: Shape) -> Tensor:
    """Whether FCOS assigns a point to each box of an image."""
    generator, (height, width) = head.prior_generator, img_shape
    sizes = [(ceil(height / y), ceil(width / x)) for x, y in generator.strides]
    points = generator.grid_priors(sizes, dtype=boxes.dtype, device=boxes.device)
    # Each box has a label of its own, none of them the background's.
    labels = head.num_classes + 1 + torch.arange(len(boxes))
    assigned, *_ = head.get_targets(points, [InstanceData(bboxes=boxes, labels=labels)])
    return torch.isin(labels, torch.cat(assigned))


def _points(generator: Any) -> list[Tensor]:
    """Points, or centres of anchors, (A, 2) at cell (0, 0) of each level."""
    if isinstance(generator, MlvlPointGenerator):
        return [generator.offset * torch.tensor([stride]) for stride in generator.strides]
    return [_centres(anchors) for anchors in generator.base_anchors]


def _joined(boxes: list[Tensor], img_shapes: list[Shape]) -> tuple[Tensor, Tensor]:
    """The boxes (n, 4) of all images, and the size (n, 2) of the image of each, width first."""
    sizes = [
        own.new_tensor(shape[::-1]).expand(len(own), 2)
        for own, shape in zip(boxes, img_shapes, strict=True)
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
    """How a config says that all anchors are ``factor`` times as large."""
    if getattr(generator, 'octave_base_scale', None):
        return f'octave_base_scale={generator.octave_base_scale * factor:.3g}'
    scales = getattr(generator, 'scales', None)
    if isinstance(scales, Tensor):
        return f'scales=[{", ".join(f"{scale * factor:.3g}" for scale in scales.tolist())}]'
    return f'anchors {factor:.3g} times as large'
