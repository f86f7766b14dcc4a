"""What configs of the zoo need and a CPU, or MMDetection, does not have.

AFP is checked by comparing two detectors that call the same functions with the same inputs, so a
plain function of the same inputs and shapes will do.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import mmcv.ops
import numpy as np
import torch.nn.functional as F
from mmdet.models.dense_heads import SSDHead, paa_head
from torch import Tensor


@contextmanager
def operators() -> Iterator[None]:
    """Replace MMCV's operators that only a GPU has."""
    names = ('carafe', 'carafe'), ('masked_conv', 'masked_conv2d'), ('deform_roi_pool',) * 2
    with ExitStack() as stack:
        for module, name in names:  # the package has functions of the modules' names
            module = sys.modules[f'mmcv.ops.{module}']
            stack.enter_context(patch.object(module, name, globals()[name]))
        yield


@contextmanager
def stand_ins() -> Iterator[None]:
    """The same, and what MMDetection's own heads need on noise, or lack."""
    with ExitStack() as stack:
        stack.enter_context(operators())
        if paa_head.skm:  # PAA says itself that it needs scikit-learn
            mixture = in_double_precision(paa_head.skm.GaussianMixture)
            stack.enter_context(patch.object(paa_head.skm, 'GaussianMixture', mixture))
        if not hasattr(SSDHead, 'loss_cls'):  # MMDetection 3.5.1 asks for it when SSD predicts
            stack.enter_context(patch.object(SSDHead, 'loss_cls', None, create=True))
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


def in_double_precision(mixture: type) -> type:
    """PAA's mixture of Gaussians for losses as large as noise has, where a component is often one
    loss alone: single precision may give that a variance below 0."""

    class InDoublePrecision(mixture):
        def fit(self, losses: np.ndarray) -> mixture:
            return super().fit(losses.astype(np.float64))

    return InDoublePrecision
