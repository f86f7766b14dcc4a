from __future__ import annotations

from inspect import signature
from typing import Any, NamedTuple

from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from torch import Tensor, nn

from ..taps import Taps

ROI_TAP = 'roi_head.bbox_head'
"""The tap of what a RoI head puts out for its boxes, in all its stages."""


class Judged(NamedTuple):
    """RoIs (R, 5), image index and x1 y1 x2 y2, and what a stage of a RoI head says of them."""

    stage: int
    rois: Tensor
    cls_score: Tensor
    bbox_pred: Tensor | None


class DetTaps(Taps):
    """Taps of a detector: that of its RoI head, ``roi_head.bbox_head``, hands over a list.

    It has an entry :class:`Judged` a stage of a cascade, in order, and one for any other head.
    """

    def _watch(self, path: str, module: nn.Module) -> Any:
        if path != ROI_TAP:
            return super()._watch(path, module)
        return _BBoxForwards(self.model.roi_head, self.outputs.setdefault(path, []))


class _BBoxForwards:
    """Keep what a RoI head's ``_bbox_forward`` is given and returns.

    No module is given the RoIs and returns the scores; and some heads run their RoI extractor
    twice.
    """

    def __init__(self, roi_head: BaseRoIHead, judged: list[Judged]) -> None:
        self.roi_head = roi_head
        forward = roi_head._bbox_forward

        def keep(*args: Any, **kwargs: Any) -> dict[str, Tensor]:
            results = forward(*args, **kwargs)
            given = signature(forward).bind(*args, **kwargs).arguments
            judged.append(_judged(given.get('stage', 0), given['rois'], results))
            return results

        roi_head._bbox_forward = keep

    def remove(self) -> None:
        del self.roi_head._bbox_forward


def judge(roi_head: BaseRoIHead, feats: tuple[Tensor, ...], rois: Tensor, stage: int = 0) -> Judged:
    """What a stage of a RoI head says of boxes.

    Args:
        roi_head: A head that reads nothing but the features of the boxes.
        feats: The pyramid, (N, C, H, W) a level.
        rois: (R, 5), image index and x1 y1 x2 y2 in the head's pixels.
        stage: Of a cascade.
    """
    stages = [stage] if isinstance(roi_head, CascadeRoIHead) else []
    return _judged(stage, rois, roi_head._bbox_forward(*stages, feats, rois))


def bbox_heads(roi_head: BaseRoIHead) -> list[nn.Module]:
    """The box heads of all stages, in order."""
    head = roi_head.bbox_head
    return list(head) if isinstance(head, nn.ModuleList) else [head]


def _judged(stage: int, rois: Tensor, results: dict[str, Tensor]) -> Judged:
    return Judged(stage, rois, results['cls_score'], results['bbox_pred'])
