from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import torch
from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from torch import Tensor, nn

from ..taps import Taps, versions

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

    def __enter__(self) -> DetTaps:
        super().__enter__()
        if ROI_TAP in self.modules:
            self._forwards = _BBoxForwards(self.model.roi_head, self._keep_judged)
        return self

    def __exit__(self, *exc: Any) -> bool:
        if ROI_TAP in self.modules:
            self._forwards.remove()
        return super().__exit__(*exc)

    def _keep(self, path: str, output: Any) -> None:
        if path != ROI_TAP:  # its output is that of `_bbox_forward`, not of a box head
            super()._keep(path, output)

    def _keep_judged(self, judged: Judged) -> None:
        self.outputs.setdefault(ROI_TAP, []).append(judged)
        self._versions.setdefault(ROI_TAP, []).extend(versions(judged))


class _BBoxForwards:
    """Hand over what a RoI head's ``_bbox_forward`` is given and returns.

    No module is given the RoIs and returns the scores; and some heads run their RoI extractor
    twice. What samplers try in search of hard boxes, without gradients, is left out.
    """

    def __init__(self, roi_head: BaseRoIHead, keep: Callable[[Judged], None]) -> None:
        self.roi_head = roi_head
        forward = roi_head._bbox_forward
        grad = torch.is_grad_enabled()

        def forward_and_keep(*args: Any, **kwargs: Any) -> dict[str, Tensor]:
            results = forward(*args, **kwargs)
            if torch.is_grad_enabled() == grad:
                given = signature(forward).bind(*args, **kwargs).arguments
                keep(_judged(given.get('stage', 0), given['rois'], results))
            return results

        roi_head._bbox_forward = forward_and_keep

    def remove(self) -> None:
        del self.roi_head._bbox_forward


def judge(
    roi_head: BaseRoIHead, feats: tuple[Tensor, ...], rois: list[tuple[int, Tensor]]
) -> list[Judged]:
    """What a RoI head says of boxes.

    Args:
        roi_head: A standard one or a cascade.
        feats: The pyramid, (N, C, H, W) a level.
        rois: For each stage that judges its number and its RoIs (R, 5), image index and
            x1 y1 x2 y2 in the head's pixels.
    """
    # Some heads add to the features of a box what they make of the whole image.
    context = {
        f'{name}_feat': getattr(roi_head, f'{name}_head')(feats)[1]
        for name in ('semantic', 'glbctx')
        if getattr(roi_head, f'with_{name}', False)
    }
    judged = []
    for stage, own in rois:
        stages = dict(stage=stage) if isinstance(roi_head, CascadeRoIHead) else {}
        results = roi_head._bbox_forward(x=feats, rois=own, **stages, **context)
        judged.append(_judged(stage, own, results))
    return judged


def bbox_heads(roi_head: BaseRoIHead) -> list[nn.Module]:
    """The box heads of all stages, in order."""
    head = roi_head.bbox_head
    return list(head) if isinstance(head, nn.ModuleList) else [head]


def _judged(stage: int, rois: Tensor, results: dict[str, Tensor]) -> Judged:
    return Judged(stage, rois, results['cls_score'], results['bbox_pred'])
