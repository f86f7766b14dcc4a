"""Sub-cells in MMDetection's dense heads."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from mmdet.models.dense_heads import (
    ATSSHead,
    AutoAssignHead,
    DDODHead,
    FCOSHead,
    GFLHead,
    RetinaHead,
    RetinaSepBNHead,
    RPNHead,
    RTMDetHead,
    RTMDetInsHead,
    YOLOXHead,
)
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..taps import evaluating
from .convolution import SubCellConv2d

LAST_CONVOLUTIONS: dict[type, tuple[str, ...]] = {
    ATSSHead: ('atss_cls', 'atss_reg', 'atss_centerness'),
    DDODHead: ('atss_cls', 'atss_reg', 'atss_iou'),
    FCOSHead: ('conv_cls', 'conv_reg', 'conv_centerness'),
    GFLHead: ('gfl_cls', 'gfl_reg'),
    RPNHead: ('rpn_cls', 'rpn_reg'),
    RTMDetHead: ('rtm_cls', 'rtm_reg', 'rtm_obj'),
    RetinaHead: ('retina_cls', 'retina_reg'),
    RetinaSepBNHead: ('retina_cls', 'retina_reg'),
    YOLOXHead: ('multi_level_conv_cls', 'multi_level_conv_reg', 'multi_level_conv_obj'),
}
"""Class of a head -> its last convolutions: modules, or lists of one for each level.

A head has the convolutions of its nearest base class. Those that it lacks are passed over; the
result is checked, see :func:`_check_outputs`.
"""

REFUSED = {
    AutoAssignHead: 'its centre prior has strides of its own',
    RTMDetInsHead: 'its masks have the stride of its finest level',
}


def divide_cells(head: nn.Module, cells: int) -> None:
    """Change a dense head so that it answers for sub-cells.

    Args:
        head: The head; changed in place.
        cells: Sub-cells along each side of a cell.

    Raises:
        NotImplementedError: The head cannot have sub-cells. The message says why.
    """
    _check(head)
    for name in _names(head):
        found = getattr(head, name, None)
        if isinstance(found, nn.Conv2d):
            setattr(head, name, SubCellConv2d(found, cells))
        elif found is not None:
            setattr(head, name, nn.ModuleList(SubCellConv2d(each, cells) for each in found))
    _divide_strides(head, cells)
    _check_outputs(head, cells)


def _names(head: nn.Module) -> tuple[str, ...]:
    bases = type(head).__mro__
    return next((LAST_CONVOLUTIONS[base] for base in bases if base in LAST_CONVOLUTIONS), ())


def _check(head: nn.Module) -> None:
    if not _names(head):
        known = ', '.join(sorted(base.__name__ for base in LAST_CONVOLUTIONS))
        _refuse(head, f'SubCellDetector knows {known} and the heads that inherit from them')
    for base, reason in REFUSED.items():
        if isinstance(head, base):
            _refuse(head, reason)
    offset = getattr(head.prior_generator, 'center_offset', 0)
    if offset:
        _refuse(head, f'its anchors have center_offset={offset}; sub-cells need 0')


def _divide_strides(head: nn.Module, cells: int) -> None:
    """Divide the strides of the priors. The anchors of a cell, made before, keep their sizes."""
    generator = head.prior_generator
    generator.strides = [
        tuple(_divided(side, cells) for side in each) for each in generator.strides
    ]
    if hasattr(head, 'strides'):  # FCOS and YOLOX name them a second time
        head.strides = [_divided(stride, cells) for stride in head.strides]


def _divided(stride: Any, cells: int) -> int | float:
    return stride // cells if stride % cells == 0 else stride / cells


def _check_outputs(head: nn.Module, cells: int) -> None:
    """Run the head on small maps of zeros: all its outputs must have the sub-cells.

    Raises:
        NotImplementedError: An output has no sub-cells, or the head cannot read its own output.
    """
    side = 8
    levels = len(head.prior_generator.strides)
    feats = tuple(torch.zeros(1, head.in_channels, side, side) for _ in range(levels))
    try:
        with torch.no_grad(), evaluating(head):
            outputs = head(feats)
    except RuntimeError as error:
        _refuse(head, f'it reads its own outputs again ({error})')
    for each in tree_leaves(outputs):
        if isinstance(each, Tensor) and each.shape[-1] != cells * side:
            _refuse(head, 'it has an output besides those of its last convolutions')


def _refuse(head: nn.Module, reason: str) -> NoReturn:
    raise NotImplementedError(f'sub-cells of a {type(head).__name__}: {reason}')
