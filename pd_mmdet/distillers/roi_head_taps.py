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
"""The tap of a RoI head's predictions, for all its stages."""


class DetTaps(Taps):
    """Taps of a detector. The tap ``roi_head.bbox_head`` collects the predictions of its RoI head.

    They are a list with a :class:`RoIHeadOutput` for each stage of a cascade, in order; for any
    other RoI head the list has one entry.
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
        if path != ROI_TAP:  # its output is kept by `_keep_roi_output`
            super()._keep(path, output)

    def _keep_roi_output(self, output: RoIHeadOutput) -> None:
        self.outputs.setdefault(ROI_TAP, []).append(output)
        self._versions.setdefault(ROI_TAP, []).extend(versions(output))


class _BBoxForwards:
    """Keep the arguments and results of a RoI head's ``_bbox_forward``.

    A forward hook cannot do this: no module gets the RoIs and returns the scores, and some heads
    run their RoI extractor twice. Calls without gradients are ignored; samplers make them to find
    hard boxes.
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
    """Let a RoI head predict classes and deltas for given RoIs.

    Args:
        roi_head: A standard RoI head or a cascade.
        feats: Feature maps (N, C, H, W), one for each level.
        rois: (index, RoIs) of each stage that predicts. RoIs are (R, 5): index of the image, then
            x1 y1 x2 y2 in the head's pixels.

    Returns:
        The predictions of each stage.
    """
    # Some heads add features of the whole image to those of a box.
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
