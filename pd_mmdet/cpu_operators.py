"""Plain PyTorch versions of MMCV's operators that only a GPU has.

They put out the shapes of the originals, so that a detector which has such operators can be tried
where it is built, on the CPU, before it moves to the GPU that trains it.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import mmcv.ops
import torch.nn.functional as F
from torch import Tensor

OPERATORS = ('carafe', 'carafe'), ('masked_conv', 'masked_conv2d'), ('deform_roi_pool',) * 2
"""Modules of ``mmcv.ops``, and the function in each that is replaced."""


@contextmanager
def cpu_operators() -> Iterator[None]:
    """Let MMCV's layers use the functions of this module inside of a ``with`` block."""
    with ExitStack() as stack:
        for file, name in OPERATORS:  # the package has functions of the modules' names
            module = sys.modules[f'mmcv.ops.{file}']
            stack.enter_context(patch.object(module, name, globals()[name]))
        yield


def carafe(features: Tensor, masks: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """CARAFE (Wang et al., ICCV 2019, equation 3) in plain PyTorch."""
    n, channels, height, width = features.shape
    windows = F.unfold(features, kernel, padding=kernel // 2).view(n, -1, height, width)
    windows = F.interpolate(windows, scale_factor=scale)
    windows = windows.view(n, groups, channels // groups, kernel**2, *windows.shape[-2:])
    weights = masks.view(n, groups, 1, kernel**2, *masks.shape[-2:])
    return (windows * weights).sum(3).flatten(1, 2)


def masked_conv2d(
    features: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, padding: int = 0, stride: int = 1
) -> Tensor:
    """A convolution whose output is 0 outside of the mask."""
    return F.conv2d(features, weight, bias, stride, padding) * (mask[:, None] > 0)


def deform_roi_pool(
    features: Tensor,
    rois: Tensor,
    offset: Tensor | None,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    gamma: float = 0.1,
) -> Tensor:
    """RoI pooling with a mean offset for all bins of an RoI instead of one for each."""
    if offset is not None and offset.numel():
        sides = (rois[:, 3:] - rois[:, 1:3]).repeat(1, 2)
        shift = gamma * offset.flatten(2).mean(2).repeat(1, 2) * sides
        rois = rois + F.pad(shift, (1, 0))
    return mmcv.ops.roi_align(features, rois, output_size, spatial_scale, sampling_ratio)
