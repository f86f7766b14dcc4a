import sys

import mmcv.ops
import pytest
import torch
from mmcv.ops.masked_conv import MaskedConv2d
from mmdet.models.dense_heads import SSDHead

from pd_mmdet.zoo.stand_ins import carafe, deform_roi_pool, stand_ins


def test_everything_is_as_it_was_afterwards():
    modules = [sys.modules[f'mmcv.ops.{name}'] for name in ('carafe', 'masked_conv')]
    before = modules[0].carafe, modules[1].masked_conv2d, hasattr(SSDHead, 'loss_cls')
    with pytest.raises(KeyError), stand_ins():
        assert modules[0].carafe is carafe
        raise KeyError
    after = modules[0].carafe, modules[1].masked_conv2d, hasattr(SSDHead, 'loss_cls')
    assert after == before


def test_carafe_is_a_weighted_sum_of_each_cells_neighbours():
    """Against the sum written out for every output cell."""
    n, channels, groups, kernel, scale, height, width = 2, 4, 2, 3, 2, 3, 4
    features = torch.randn(n, channels, height, width)
    masks = torch.randn(n, groups * kernel**2, height * scale, width * scale)
    padded = torch.nn.functional.pad(features, [kernel // 2] * 4)
    expected = torch.zeros(n, channels, height * scale, width * scale)
    for y in range(height * scale):
        for x in range(width * scale):
            for channel in range(channels):
                top, left = y // scale, x // scale
                window = padded[:, channel, top : top + kernel, left : left + kernel]
                first = channel // (channels // groups) * kernel**2
                weights = masks[:, first : first + kernel**2, y, x]
                expected[:, channel, y, x] = (window.flatten(1) * weights).sum(1)
    torch.testing.assert_close(carafe(features, masks, kernel, groups, scale), expected)


def test_masked_conv_is_a_convolution_inside_of_the_mask():
    conv = MaskedConv2d(3, 2, 3, padding=1)
    features, mask = torch.randn(1, 3, 4, 5), torch.rand(1, 4, 5) > 0.5
    with stand_ins():
        out = conv(features, mask)
    assert torch.equal(out, conv(features) * mask)


def test_deformed_pooling_without_an_offset_is_roi_align():
    features = torch.randn(1, 2, 8, 8)
    rois = torch.tensor([[0, 1.0, 2, 6, 7]])
    expected = mmcv.ops.roi_align(features, rois, (3, 3), 0.5, 0)
    assert torch.equal(deform_roi_pool(features, rois, None, (3, 3), 0.5), expected)
    # An offset of one RoI's width to the right.
    offset = torch.zeros(1, 2, 3, 3)
    offset[:, 0] = 10
    moved = rois + torch.tensor([[0, 5.0, 0, 5, 0]])
    expected = mmcv.ops.roi_align(features, moved, (3, 3), 0.5, 0)
    torch.testing.assert_close(deform_roi_pool(features, rois, offset, (3, 3), 0.5), expected)
