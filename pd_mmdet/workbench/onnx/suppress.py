"""Non-maximum suppression of a batch, as one operator that ONNX has."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

OFF = -1.0
"""The score of an entry that takes no part."""


class Detections(NamedTuple):
    """Boxes of a batch of images; as many for each image.

    Attributes:
        boxes: (N, K, 4), x1 y1 x2 y2 in pixels.
        scores: (N, K), from 0 to 1; ``OFF`` for an entry that takes no part.
        labels: (N, K), int64.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


@torch.library.custom_op('pd_mmdet::survivors', mutates_args=())
def survivors(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Find the boxes that no better box of their image hides.

    It is an operator of its own because torchvision's suppresses in one image. To put the images of
    a batch side by side in one plane, as one does with classes, costs float32 the fractions of
    pixels.

    Args:
        boxes: (N, K, 4), x1 y1 x2 y2.
        scores: (N, K); boxes with a negative score take no part.
        iou_threshold: IoU above which a box hides another one.

    Returns:
        (N, K), bool.
    """
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for image, (own, score) in enumerate(zip(boxes, scores)):
        live = (score >= 0).nonzero()[:, 0]
        kept[image, live[torchvision.ops.nms(own[live], score[live], iou_threshold)]] = True
    return kept


@survivors.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def suppress(found: Detections, groups: Tensor, iou_threshold: float, number: int) -> Detections:
    """Keep the best boxes that no better box of their group hides.

    Args:
        found: Candidates.
        groups: (N, K), int64: boxes of different groups do not hide each other.
        iou_threshold: IoU above which a box hides another one.
        number: Largest number of boxes of an image.

    Returns:
        The best ones first, then those that take no part.
    """
    live = (found.scores >= 0)[..., None]
    # As MMCV's batched_nms, whose result differs where boxes have negative coordinates.
    width = torch.where(live, found.boxes, 0).amax((1, 2), keepdim=True) + 1
    kept = survivors(found.boxes + groups[..., None] * width, found.scores, iou_threshold)
    return best(found._replace(scores=torch.where(kept, found.scores, OFF)), number)


def best(found: Detections, number: int) -> Detections:
    """Return the best ``number`` detections of each image, or all if there are fewer."""
    scores, order = found.scores.topk(torch.sym_min(number, found.scores.shape[1]))
    boxes = found.boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return Detections(boxes, scores, found.labels.gather(1, order))
