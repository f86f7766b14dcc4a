import sys

import mmcv.ops
import numpy as np
import pytest
import torch
from mmcv.ops.masked_conv import MaskedConv2d
from mmdet.models.dense_heads import SSDHead, paa_head

from pd_mmdet.zoo.stand_ins import carafe, deform_roi_pool, stand_ins


def test_everything_is_as_it_was_afterwards():
    modules = [sys.modules[f'mmcv.ops.{name}'] for name in ('carafe', 'masked_conv')]

    def state() -> tuple:
        operators = modules[0].carafe, modules[1].masked_conv2d
        return *operators, paa_head.skm.GaussianMixture, hasattr(SSDHead, 'loss_cls')

    before = state()
    with pytest.raises(KeyError), stand_ins():
        assert modules[0].carafe is carafe
        raise KeyError
    assert state() == before


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


def test_the_mixture_of_large_losses_is_that_of_small_ones():
    """Six losses of which one lies apart: in single precision scikit-learn 1.9 fails on them."""
    losses = np.array(
        [[20.544493], [21.384934], [21.969282], [22.445339], [23.120468], [27.280193]]
    )
    options = dict(
        weights_init=[0.5, 0.5],
        means_init=losses[[0, -1]],
        precisions_init=[[1.0], [1.0]],
        covariance_type='diag',
        random_state=0,
    )
    single = losses.astype(np.float32)
    exact = paa_head.skm.GaussianMixture(2, **options).fit(losses)
    with stand_ins():
        found = paa_head.skm.GaussianMixture(2, **options).fit(single)
    assert found.predict(single).tolist() == exact.predict(losses).tolist() == [0, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(found.means_, exact.means_, rtol=1e-6)
