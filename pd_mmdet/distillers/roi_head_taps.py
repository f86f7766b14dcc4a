from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch
from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from torch import Tensor, nn

from ..losses.roi_head import RoIHeadOutput
from ..taps import Taps, versions

ROI_TAP = 'roi_head.bbox_head'
"""The tap of what a RoI head puts out for its boxes, in all its stages."""


class DetTaps(Taps):
    """Taps of a detector: the tap of its RoI head, ``roi_head.bbox_head``, collects a list.

    The list has a :class:`RoIHeadOutput` for each stage of a cascade, in order, and one for any
    other head.
    """

    def __enter__(self) -> DetTaps:
        super().__enter__()
        if ROI_TAP in self.modules:
            self._forwards = _BBoxForwards(self.model.roi_head, self._keep_roi_output)
        return self

    def __exit__(self, *exc: Any) -> bool:
        if ROI_TAP in self.modules:
            self._forwards.remove()
        return super().__exit__(*exc)

    def _keep(self, path: str, output: Any) -> None:
        if path != ROI_TAP:  # its output is that of `_bbox_forward`, not of a box head
            super()._keep(path, output)

    def _keep_roi_output(self, output: RoIHeadOutput) -> None:
        self.outputs.setdefault(ROI_TAP, []).append(output)
        self._versions.setdefault(ROI_TAP, []).extend(versions(output))


class _BBoxForwards:
    """Hand over what a RoI head's ``_bbox_forward`` is given and returns.

    No module is given the RoIs and returns the scores; and some heads run their RoI extractor
    twice. What samplers try in search of hard boxes, without gradients, is left out.
    """

    def __init__(self, roi_head: BaseRoIHead, keep: Callable[[RoIHeadOutput], None]) -> None:
        self.roi_head = roi_head
        forward = roi_head._bbox_forward
        grad = torch.is_grad_enabled()

        def forward_and_keep(*args: Any, **kwargs: Any) -> dict[str, Tensor]:
            results = forward(*args, **kwargs)
            if torch.is_grad_enabled() == grad:
                given = signature(forward).bind(*args, **kwargs).arguments
                keep(_roi_output(given.get('stage', 0), given['rois'], results))
            return results

        roi_head._bbox_forward = forward_and_keep

    def remove(self) -> None:
        del self.roi_head._bbox_forward


def run_roi_head(
    roi_head: BaseRoIHead, feats: Sequence[Tensor], rois: list[tuple[int, Tensor]]
) -> list[RoIHeadOutput]:
    """Let a RoI head predict classes and deltas for given boxes.

    Args:
        roi_head: A standard one or a cascade.
        feats: The pyramid, a map (N, C, H, W) for each level.
        rois: For each stage that predicts its index and its RoIs (R, 5): index of the image,
            x1 y1 x2 y2 in the head's pixels.
    """
    # Some heads add to the features of a box what they make of the whole image.
    context = {
        f'{name}_feat': getattr(roi_head, f'{name}_head')(feats)[1]
        for name in ('semantic', 'glbctx')
        if getattr(roi_head, f'with_{name}', False)
    }
    outputs = []
    for stage, boxes in rois:
        stages = dict(stage=stage) if isinstance(roi_head, CascadeRoIHead) else {}
        results = roi_head._bbox_forward(x=feats, rois=boxes, **stages, **context)
        outputs.append(_roi_output(stage, boxes, results))
    return outputs


def bbox_heads(roi_head: BaseRoIHead) -> list[nn.Module]:
    """List the box heads of all stages, in order."""
    head = roi_head.bbox_head
    return list(head) if isinstance(head, nn.ModuleList) else [head]


def _roi_output(stage: int, rois: Tensor, results: dict[str, Tensor]) -> RoIHeadOutput:
    return RoIHeadOutput(stage, rois, results['cls_score'], results['bbox_pred'])
