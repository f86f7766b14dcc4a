"""What this package's operators are in ONNX."""
# Without annotations as text: onnxscript reads them.

from collections.abc import Callable

import torch
from onnxscript import BOOL, FLOAT
from onnxscript import opset18 as op

from . import suppress


def survivors(boxes: FLOAT, scores: FLOAT, iou_threshold: float) -> BOOL:
    """Translate :func:`.suppress.survivors`."""
    # Its five inputs end with a score: what takes no part is below it.
    least = [suppress.OFF / 2]
    found = op.NonMaxSuppression(
        boxes, op.Unsqueeze(scores, [1]), [2**31 - 1], [iou_threshold], least
    )
    places = op.Gather(found, [0, 2], axis=1)  # (image, class, box) -> (image, box)
    none = op.Expand(op.Cast([0], to=BOOL.dtype), op.Shape(scores))
    all_true = op.Expand(op.Cast([1], to=BOOL.dtype), op.Shape(places, end=1))
    return op.ScatterND(none, places, all_true)


TABLE: dict[Callable, Callable] = {torch.ops.pd_mmdet.survivors.default: survivors}
"""Operator -> its translation, for ``torch.onnx.export``."""
