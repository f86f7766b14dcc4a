from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.model import BaseModule
from torch import Tensor

FACTORS = (1 / sqrt(2), sqrt(2), 1 / 2, 2, 1 / 4, 4)
"""Scales that are tried in place of those of a head, times its own: the smallest change first."""


def positive_iou(head: BaseModule) -> float:
    """The IoU from which a head's assigner takes a prior for positive; 0.5 where it has none."""
    return getattr(getattr(head, 'assigner', None), 'pos_iou_thr', 0.5)


def prior_coverage(
    head: BaseModule, boxes: list[Tensor], img_shapes: list[tuple[int, int]]
) -> float:
    """Share of boxes whose best prior reaches the positive IoU of the head's assigner.

    Args:
        head: A dense head whose ``prior_generator`` has ``base_anchors``.
        boxes: For each image its boxes (n, 4), x1 y1 x2 y2 in pixels of the view the head reads.
        img_shapes: For each image (height, width) in pixels of that view.

    Returns:
        Between 0 and 1; nan where there are no boxes.
    """
    generator = head.prior_generator
    ious = best_ious(generator.base_anchors, generator.strides, boxes, img_shapes)
    return _share(ious, positive_iou(head))


def suggest_priors(
    head: BaseModule,
    boxes: list[Tensor],
    img_shapes: list[tuple[int, int]],
    threshold: float = 0.7,
) -> str:
    """Name the smallest change of a head's priors that would suit the boxes.

    Other scales are tried first, then one finer start level.

    Args:
        head: As for :func:`prior_coverage`, and so the boxes and shapes.
        boxes: At least one image must have some.
        img_shapes: See above.
        threshold: The coverage that suits.

    Returns:
        The first change that reaches the threshold, else the best one if any is better than the
        head's own, and its coverage: ``'octave_base_scale=2 (94 %)'``.
    """
    generator = head.prior_generator
    anchors, strides = generator.base_anchors, generator.strides
    finer = [tuple(side / 2 for side in strides[0]), *strides]
    candidates = [
        (_scale_option(generator, factor), [_resized(level, factor) for level in anchors], strides)
        for factor in FACTORS
    ]
    candidates.append(
        (f'a finer start level of stride {finer[0][0]:g}', [anchors[0] / 2, *anchors], finer)
    )
    best = prior_coverage(head, boxes, img_shapes)
    name = 'nothing among other scales and a finer start level'
    for option, *priors in candidates:
        share = _share(best_ious(*priors, boxes, img_shapes), positive_iou(head))
        if share > best:
            best, name = share, option
        if best >= threshold:
            break
    return f'{name} ({100 * best:.0f} %)'


def best_ious(
    base_anchors: Sequence[Tensor],
    strides: Sequence[tuple[float, float]],
    boxes: list[Tensor],
    img_shapes: list[tuple[int, int]],
) -> Tensor:
    """IoU of each box, of all images in turn, with its best prior.

    An anchor overlaps a box the more, in x and in y alone, the nearer their centres are; so of
    all places on its grid the one nearest to the box's centre is the best, and only that one is
    looked at.

    Args:
        base_anchors: For each level its anchors (A, 4) at cell (0, 0), in pixels.
        strides: For each level (x, y).
        boxes: As for :func:`prior_coverage`.
        img_shapes: (height, width); a level has ceil(side / stride) cells.
    """
    boxes_wh = [
        own.new_tensor(shape[::-1]).expand(len(own), 2)
        for own, shape in zip(boxes, img_shapes, strict=True)
    ]
    boxes, sizes = torch.cat(boxes), torch.cat(boxes_wh)
    best = boxes.new_zeros(len(boxes))
    for anchors, stride in zip(base_anchors, strides, strict=True):
        stride = boxes.new_tensor(stride)
        last = (sizes / stride).ceil() - 1
        cell = ((_centres(boxes)[:, None] - _centres(anchors)) / stride).round().clamp(min=0)
        cell = torch.minimum(cell, last[:, None])
        priors = anchors + (cell * stride).repeat(1, 1, 2)
        best = torch.maximum(best, bbox_overlaps(boxes[:, None], priors)[:, 0].amax(-1))
    return best


def _share(ious: Tensor, threshold: float) -> float:
    return (ious >= threshold).float().mean().item()


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _resized(anchors: Tensor, factor: float) -> Tensor:
    centres = _centres(anchors).repeat(1, 2)
    return centres + (anchors - centres) * factor


def _scale_option(generator: object, factor: float) -> str:
    """How a config says that all anchors are ``factor`` times as large."""
    if getattr(generator, 'octave_base_scale', None):
        return f'octave_base_scale={generator.octave_base_scale * factor:.3g}'
    scales = getattr(generator, 'scales', None)
    if isinstance(scales, Tensor):
        return f'scales=[{", ".join(f"{scale * factor:.3g}" for scale in scales.tolist())}]'
    return f'anchors {factor:.3g} times as large'
