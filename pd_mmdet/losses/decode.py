"""How what MMDetection's dense heads return in training becomes logits, confidences and boxes.

Rows stand for priors: level by level, image by image, cell by cell, and the priors of one cell.
A table finds its entry by the class of a head, the nearest base class first; a string there says
what the head would need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    AutoAssignHead,
    CenterNetUpdateHead,
    DDODHead,
    FCOSHead,
    FoveaHead,
    GFLHead,
    GuidedAnchorHead,
    PAAHead,
    RepPointsHead,
    RTMDetHead,
    SABLRetinaHead,
    StageCascadeRPNHead,
    TOODHead,
    VFNetHead,
    YOLOV3Head,
    YOLOXHead,
)
from mmdet.models.task_modules.coders import (
    DeltaXYWHBBoxCoder,
    DistancePointBBoxCoder,
    LegacyDeltaXYWHBBoxCoder,
    TBLRBBoxCoder,
    YOLOBBoxCoder,
)
from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn


class Predicted(NamedTuple):
    """What a dense head returns in training, of the levels that are compared.

    Args:
        head: The head.
        outputs: All that its ``forward`` returns in training; what is read are lists with a map
            (N, A · d, H, W) a level.
        levels: Indices of the levels that are compared.
        scale: Pixels in which the head measures, for one of those in which boxes are wanted.
    """

    head: nn.Module
    outputs: Sequence[Any]
    levels: Sequence[int]
    scale: float = 1.0


class BoxForm(NamedTuple):
    """Where a head puts out its boxes, and how they are decoded.

    Args:
        entry: Which of the head's outputs they are.
        decode: Takes the head, rows (P, d), their priors (P, 4 or 2) and levels (P,); returns
            boxes (P, 4) in the head's pixels.
        coders: The kinds of ``bbox_coder`` that it can serve, where it uses that.
    """

    entry: int
    decode: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    coders: tuple[type, ...] = ()


def find(table: dict[type, Any], head: nn.Module) -> Any:
    """The entry of a table for a head."""
    return next(table[base] for base in type(head).__mro__ if base in table)


def prior_generator(head: nn.Module) -> AnchorGenerator | MlvlPointGenerator:
    """What makes the priors on which a head's outputs stand."""
    # Heads that move or regroup their anchors start from these.
    return getattr(head, 'prior_generator', None) or head.square_anchor_generator


def has_softmax(head: nn.Module) -> bool:
    """Whether classes compete, the background being the last of them."""
    return not getattr(head, 'use_sigmoid_cls', True)


def class_logits(predicted: Predicted) -> Tensor:
    """Class logits (P, classes), or (P, classes + 1) for a softmax; float32."""
    return find(CLASS_LOGITS, predicted.head)(predicted)


def best_score(head: nn.Module, logits: Tensor) -> Tensor:
    """(P, channels) -> (P,): the best class' sigmoid score, or 1 - the background's softmax."""
    if has_softmax(head):
        return 1 - logits.softmax(1)[:, -1]
    return logits.amax(1).sigmoid()


def confidence(predicted: Predicted) -> Tensor:
    """The score (P,) in [0, 1] by which the head itself ranks its boxes in prediction."""
    score = best_score(predicted.head, class_logits(predicted))
    combine = find(SCORE_FACTORS, predicted.head)
    return combine(score, by_prior(predicted, 2).sigmoid().flatten()) if combine else score


def decode_boxes(predicted: Predicted, chosen: Tensor) -> Tensor:
    """Boxes (len(chosen), 4), x1 y1 x2 y2, of some of the rows, not clipped to the image."""
    head = predicted.head
    form = find(BOXES, head)
    priors, levels = _places(predicted, chosen)
    # Some decode with matrix products, which autocast would round.
    with torch.autocast(priors.device.type, enabled=False):
        rows = by_prior(predicted, form.entry)[chosen]
        boxes = form.decode(head, rows, priors, levels)
    return get_box_tensor(boxes) / predicted.scale


def side_distributions(predicted: Predicted) -> Tensor:
    """Logits (P · 4, bins) of a :class:`GFLHead`'s distributions of the four sides' distances."""
    return by_prior(predicted, 1).reshape(-1, predicted.head.reg_max + 1)


def by_prior(predicted: Predicted, entry: int) -> Tensor:
    """One of the outputs as rows (P, d), float32."""
    per_cell = prior_generator(predicted.head).num_base_priors
    maps = [(predicted.outputs[entry][level], per_cell[level]) for level in predicted.levels]
    rows = [each.permute(0, 2, 3, 1).reshape(-1, each.shape[1] // n) for each, n in maps]
    return torch.cat(rows).float()


def _places(predicted: Predicted, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The priors (len(chosen), 4 or 2) of rows, in the head's pixels, and their levels."""
    maps = [predicted.outputs[0][level] for level in predicted.levels]
    grid = _grid(
        prior_generator(predicted.head),
        tuple(predicted.levels),
        tuple((int(rows), int(columns)) for *_, rows, columns in (each.shape for each in maps)),
        maps[0].device,
    )
    images = len(maps[0])
    at = torch.bucketize(chosen, grid.stops * images, right=True)
    start = grid.starts[at]
    return grid.priors[start + (chosen - start * images) % grid.counts[at]], grid.levels[at]


class _Grid(NamedTuple):
    """The priors (P, 4 or 2) of one image; of each level: which of them are its, its number."""

    priors: Tensor
    starts: Tensor
    stops: Tensor
    counts: Tensor
    levels: Tensor


@lru_cache(maxsize=32)  # an entry may have megabytes
@torch.inference_mode(False)  # what is cached in testing also serves training
def _grid(
    generator: AnchorGenerator | MlvlPointGenerator,
    levels: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    device: torch.device,
) -> _Grid:
    """What the priors are on maps of these sizes (rows, columns): the same in every step."""
    priors = [
        get_box_tensor(
            generator.single_level_grid_priors(size, level, dtype=torch.float32, device=device)
        )
        for level, size in zip(levels, sizes)
    ]
    counts = torch.tensor([len(each) for each in priors], device=device)
    stops = counts.cumsum(0)
    return _Grid(
        torch.cat(priors), stops - counts, stops, counts, torch.tensor(levels, device=device)
    )


# Class logits


def _first(predicted: Predicted) -> Tensor:
    return by_prior(predicted, 0)


def _of_probabilities(predicted: Predicted) -> Tensor:
    probabilities = by_prior(predicted, 0)
    return probabilities.logit(eps=torch.finfo(probabilities.dtype).eps)


def _with_objectness(predicted: Predicted) -> Tensor:
    return product_logit(by_prior(predicted, 0), by_prior(predicted, 2))


def _of_yolov3(predicted: Predicted) -> Tensor:
    rows = by_prior(predicted, 0)
    return product_logit(rows[:, 5:], rows[:, 4:5])


def product_logit(a: Tensor, b: Tensor) -> Tensor:
    """The logit of sigmoid(a) · sigmoid(b)."""
    # (1 - p) / p = exp(-a) + exp(-b) + exp(-a - b)
    return -torch.logaddexp(torch.logaddexp(-a, -b), -a - b)


CLASS_LOGITS: dict[type, Callable[[Predicted], Tensor] | str] = {
    AnchorHead: _first,
    CenterNetUpdateHead: _first,
    FCOSHead: _first,
    FoveaHead: _first,
    RepPointsHead: _first,
    SABLRetinaHead: _first,
    TOODHead: _of_probabilities,
    # Their classes alone mean nothing in the background: they are trained there as factors of
    # the product, or not at all.
    AutoAssignHead: _with_objectness,
    YOLOXHead: _with_objectness,
    YOLOV3Head: _of_yolov3,
    StageCascadeRPNHead: 'classes on fixed priors, and its anchors move in every image',
    object: 'class logits on fixed priors, as AnchorHead, FCOSHead or YOLOXHead returns them',
}
"""How the outputs of a head become its class logits."""


# Confidences


def _product(score: Tensor, factor: Tensor) -> Tensor:
    return score * factor


def _geometric_mean(score: Tensor, factor: Tensor) -> Tensor:
    return (score * factor).sqrt()


SCORE_FACTORS: dict[type, Callable[[Tensor, Tensor], Tensor] | None] = {
    ATSSHead: _product,
    DDODHead: _product,
    FCOSHead: _product,
    PAAHead: _geometric_mean,
    # By inheritance only: they return no factor, or their logits have it.
    AutoAssignHead: None,
    RTMDetHead: None,
    TOODHead: None,
    VFNetHead: None,
    object: None,
}
"""How a head combines the class score with its third output: centerness or predicted IoU."""


# Boxes


def _by_coder(head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    return head.bbox_coder.decode(priors, rows)


def _in_strides(head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    return head.bbox_coder.decode(priors, rows * _strides(head, levels))


def _fcos(head: FCOSHead, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    # It multiplies by the stride in eval only.
    return (_in_strides if head.norm_on_bbox else _by_coder)(head, rows, priors, levels)


def _fovea(head: FoveaHead, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    # Its own _bbox_decode clips to the image, beyond which there is no gradient.
    return head.bbox_coder.decode(priors, rows.exp() * _of_level(head.base_edge_list, levels))


def _gfl(head: GFLHead, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    return _in_strides(head, head.integral(rows), head.anchor_center(priors), levels)


def _reppoints(head: RepPointsHead, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    boxes = head.points2bbox(rows) if len(rows) else rows[:, :4]  # it takes no empty tensor
    return boxes * _strides(head, levels) + priors.repeat(1, 2)


def _tood(head: TOODHead, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    return rows * _strides(head, levels)


def _yolox(head: YOLOXHead, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    strides = _strides(head, levels).expand(-1, 2)
    return head._bbox_decode(torch.cat([priors, strides], 1), rows)


def _yolov3(head: YOLOV3Head, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
    encoded = torch.cat([rows[:, :2].sigmoid(), rows[:, 2:4]], 1)
    return head.bbox_coder.decode(priors, encoded, _strides(head, levels))


def _strides(head: nn.Module, levels: Tensor) -> Tensor:
    return _of_level([stride[0] for stride in prior_generator(head).strides], levels)


def _of_level(values: Sequence[float], levels: Tensor) -> Tensor:
    """What each level has, for each row: (P, 1)."""
    return _column(tuple(values), levels.device)[levels]


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers (n, 1) on a device, float32."""
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None]


DELTAS = (DeltaXYWHBBoxCoder, LegacyDeltaXYWHBBoxCoder, TBLRBBoxCoder)
DISTANCES = (DistancePointBBoxCoder,)

BOXES: dict[type, BoxForm | str] = {
    AnchorHead: BoxForm(1, _by_coder, DELTAS),
    AutoAssignHead: BoxForm(1, _by_coder, DISTANCES),
    CenterNetUpdateHead: BoxForm(1, _in_strides, DISTANCES),
    FCOSHead: BoxForm(1, _fcos, DISTANCES),
    FoveaHead: BoxForm(1, _fovea, DISTANCES),
    GFLHead: BoxForm(1, _gfl, DISTANCES),
    RTMDetHead: BoxForm(1, _by_coder, DISTANCES),
    RepPointsHead: BoxForm(2, _reppoints),
    TOODHead: BoxForm(1, _tood),
    VFNetHead: BoxForm(2, _by_coder, DISTANCES),
    YOLOV3Head: BoxForm(0, _yolov3, (YOLOBBoxCoder,)),
    YOLOXHead: BoxForm(1, _yolox),
    GuidedAnchorHead: 'boxes on fixed priors, and its anchors move in every image',
    SABLRetinaHead: 'boxes with a gradient, and its sides are chosen among buckets',
    StageCascadeRPNHead: 'boxes on fixed priors, and its anchors move in every image',
    object: 'boxes on fixed priors, as AnchorHead, FCOSHead or YOLOXHead returns them',
}
"""How the outputs of a head become its boxes."""
