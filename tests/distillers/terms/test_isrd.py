import math
from fractions import Fraction

import pytest
import torch

from pd_mmdet.distillers.terms.isrd import ISRD, unpadded


def build(stride, ratio, in_channels=4, out_channels=3):
    torch.manual_seed(0)
    return ISRD('backbone.relu', 1.0, in_channels, stride, Fraction(ratio), out_channels)


def identity_isrd(stride, ratio):
    """An ISRD that passes its first three feature channels through, each repeated in its cell."""
    isrd = build(stride, ratio, in_channels=3)
    upscale = isrd.shuffle.upscale_factor
    with torch.no_grad():
        isrd.conv.bias.zero_()
        isrd.conv.weight.copy_(torch.eye(3).repeat_interleave(upscale**2, 0)[..., None, None])
    return isrd


@pytest.mark.parametrize('ratio', ['3/2', '2', '4', '5/4'])
@pytest.mark.parametrize('stride', [1, 2, 4, 8])
def test_has_the_shape_and_upscale_of_the_paper(stride, ratio):
    isrd = build(stride, ratio)
    upscale = math.ceil(stride * float(Fraction(ratio)))
    assert isrd.conv.weight.shape == (3 * upscale**2, 4, 1, 1)
    # the small image is 24 x 40: the strides divide it, and every ratio gives whole pixels
    feature = torch.randn(2, 4, 24 // stride, 40 // stride)
    size = (int(24 * Fraction(ratio)), int(40 * Fraction(ratio)))
    assert isrd.reconstruct(feature, size).shape == (2, 3, *size)


@pytest.mark.parametrize(('stride', 'ratio'), [(2, '3/2'), (2, '2'), (4, '4'), (1, '2')])
def test_every_cell_fills_its_own_large_pixels(stride, ratio):
    feature = torch.rand(1, 3, 5, 6)
    side = int(stride * Fraction(ratio))
    expected = feature.repeat_interleave(side, 2).repeat_interleave(side, 3)
    # the last row of cells reaches one large pixel beyond the image
    size = (5 * side - 1, 6 * side)
    torch.testing.assert_close(
        identity_isrd(stride, ratio).reconstruct(feature, size), expected[:, :, :-1]
    )


def test_resizing_keeps_positions_when_cells_reach_beyond_the_image():
    # Stride 8, ratio 4/3: a cell spans 10 2/3 large pixels. A small image of 12 x 12 has 2 x 2
    # cells, its large one is 16 x 16: the border of the cells lies between pixels 10 and 11.
    feature = torch.tensor([1.0, 2.0]).expand(1, 3, 2, 2)
    row = identity_isrd(8, '4/3').reconstruct(feature, (16, 16))[0, 0, 8]
    torch.testing.assert_close(row[:10], torch.full((10,), 1.0))
    torch.testing.assert_close(row[12:], torch.full((4,), 2.0))


def test_reads_pixel_shuffle_then_prelu():
    isrd = build(2, '2')
    feature = torch.randn(1, 4, 3, 3)
    rebuilt = isrd.reconstruct(feature, (12, 12))
    block = isrd.conv(feature)[0, :, 1, 2].view(3, 4, 4)  # the cell at row 1, column 2
    block = torch.where(block > 0, block, 0.25 * block)  # PReLU's initial slope
    torch.testing.assert_close(rebuilt[0, :, 4:8, 8:12], block)


@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize(('stride', 'ratio'), [(2, '2'), (2, '3/2'), (4, '4'), (2, '5/4')])
def test_loss_is_the_mean_over_unpadded_pixels(stride, ratio, padded):
    isrd = build(stride, ratio)
    feature = torch.randn(2, 4, 16 // stride, 16 // stride)
    side = int(16 * Fraction(ratio))
    target = torch.randn(2, 3, side, side)
    shapes = [(side, side - 3), (side - 5, side - 1)] if padded else [(side, side)] * 2
    rebuilt = isrd.reconstruct(feature, (side, side))
    distances = torch.cat(
        [
            (rebuilt[i, :, :h, :w] - target[i, :, :h, :w]).abs().flatten()
            for i, (h, w) in enumerate(shapes)
        ]
    )
    torch.testing.assert_close(isrd.distance(feature, target, shapes), distances.mean())


def test_loss_of_cells_that_reach_beyond_the_image():
    isrd = build(2, '2')
    feature, target = torch.randn(1, 4, 3, 3), torch.randn(1, 3, 10, 11)
    distance = (isrd.reconstruct(feature, (12, 12))[..., :10, :11] - target).abs().mean()
    torch.testing.assert_close(isrd.distance(feature, target, [(10, 11)]), distance)


def test_padding_changes_neither_loss_nor_gradient():
    isrd = build(2, '2')
    feature = torch.randn(1, 4, 4, 4, requires_grad=True)
    target = torch.randn(1, 3, 16, 16)
    loss = isrd.distance(feature, target, [(12, 8)])
    target[:, :, 12:] = 1000
    target[:, :, :, 8:] = 1000
    assert isrd.distance(feature, target, [(12, 8)]) == loss
    loss.backward()
    assert feature.grad[:, :, :3, :2].abs().sum() > 0
    assert feature.grad[:, :, 3:].abs().sum() == 0
    assert feature.grad[:, :, :, 2:].abs().sum() == 0


def test_learns_an_image_that_its_feature_contains():
    torch.manual_seed(0)
    target = torch.rand(1, 3, 16, 16)
    feature = torch.nn.functional.pixel_unshuffle(target, 4)  # all 48 numbers of each cell
    isrd = build(2, '2', in_channels=48)
    optimiser = torch.optim.Adam(isrd.parameters(), lr=0.02)
    first = isrd.distance(feature, target, [(16, 16)]).item()
    for _ in range(150):
        optimiser.zero_grad()
        loss = isrd.distance(feature, target, [(16, 16)])
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2 * first


def test_loss_is_float32_inside_autocast():
    isrd = build(2, '2')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = isrd.distance(torch.randn(1, 4, 4, 4), torch.randn(1, 3, 16, 16), [(16, 16)])
    assert loss.dtype == torch.float32


def test_refuses_a_feature_that_does_not_cover_the_image():
    with pytest.raises(ValueError, match='does not cover'):
        build(2, '2').reconstruct(torch.randn(1, 4, 4, 4), (16, 17))


def test_mask_is_true_inside_each_image():
    mask = unpadded([(1, 2), (2, 3)], (2, 3), torch.device('cpu'))
    assert mask.tolist() == [[[True, True, False], [False] * 3], [[True] * 3, [True] * 3]]
