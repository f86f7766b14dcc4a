from fractions import Fraction
from math import ceil

import pytest
import torch
import torch.nn.functional as F

from pd_mmdet.afp import FeatureRescale
from pd_mmdet.afp.rescale import KERNELS, overlap_weights

RATIOS = ['5/4', '4/3', '3/2', '2', '5/2', '3', '4']


def rescale(feat, ratio, kernel='average'):
    """To as many cells as cover the map."""
    size = tuple(ceil(side / Fraction(ratio)) for side in feat.shape[-2:])
    return FeatureRescale(Fraction(ratio), kernel)((feat,), [size])[0]


def row(values, ratio, kernel='average'):
    """One row of cells, rescaled."""
    feat = torch.tensor(values).expand(1, 1, 1, -1)
    return rescale(feat, ratio, kernel).flatten().tolist()


@pytest.mark.parametrize('ratio', RATIOS)
@pytest.mark.parametrize('size', [(12, 20), (11, 17), (3, 1)])
def test_average_is_average_pooling_of_split_cells(ratio, size):
    """Each cell split in q × q equal ones, p × p of which are a window."""
    p, q = Fraction(ratio).as_integer_ratio()
    feat = torch.randn(2, 3, *size)
    split = feat.repeat_interleave(q, -1).repeat_interleave(q, -2)
    torch.testing.assert_close(rescale(feat, ratio), F.avg_pool2d(split, p, ceil_mode=True))


@pytest.mark.parametrize('kernel', KERNELS)
def test_ratio_1_changes_nothing(kernel):
    feat = torch.tensor([[1.0, float('inf')], [-0.0, float('nan')]]).expand(2, 3, 2, 2)
    assert rescale(feat, 1, kernel) is feat


def test_three_cells_to_two_by_hand():
    x0, x1, x2 = 1.0, 10.0, 100.0
    expected = [(x0 + x1 / 2) / 1.5, (x1 / 2 + x2) / 1.5]
    assert row([x0, x1, x2], '3/2') == pytest.approx(expected)
    adaptive = F.adaptive_avg_pool1d(torch.tensor([[x0, x1, x2]]), 2).flatten().tolist()
    assert row([x0, x1, x2], '3/2') != pytest.approx(adaptive)


def test_centred_by_hand():
    weights = overlap_weights(8, 4, Fraction(2), 'centred')
    expected = [
        [2 / 3, 1 / 3, 0, 0, 0, 0, 0, 0],  # [-½, 1½) clipped to [0, 1½)
        [0, 1 / 4, 1 / 2, 1 / 4, 0, 0, 0, 0],
        [0, 0, 0, 1 / 4, 1 / 2, 1 / 4, 0, 0],
        [0, 0, 0, 0, 0, 1 / 4, 1 / 2, 1 / 4],
    ]
    torch.testing.assert_close(weights, torch.tensor(expected))
    # Of an odd number of cells the last window is clipped too: [5½, 7½) to [5½, 7).
    assert row([1.0, 2, 3, 4, 5, 6, 7], 2, 'centred')[-1] == pytest.approx((6 / 2 + 7) / 1.5)


@pytest.mark.parametrize('ratio', [2, 3, 4])
@pytest.mark.parametrize('kernel', KERNELS)
def test_windows_sit_where_the_kernel_says(kernel, ratio):
    """Mean place, in input cells, of the windows away from the borders."""
    weights = overlap_weights(8 * ratio, 8, Fraction(ratio), kernel)
    mean = weights @ torch.arange(8.0 * ratio)
    shift = dict(average=(ratio - 1) / 2, centred=0)[kernel]
    torch.testing.assert_close(mean[3:6], torch.arange(3.0, 6.0) * ratio + shift)


@pytest.mark.parametrize('kernel', KERNELS)
@pytest.mark.parametrize('ratio', RATIOS)
@pytest.mark.parametrize('n_in', [1, 7, 12])
def test_rows_sum_to_one_and_constants_stay(kernel, ratio, n_in):
    ratio = Fraction(ratio)
    n_out = ceil(n_in / ratio)
    weights = overlap_weights(n_in, n_out, ratio, kernel)
    assert weights.shape == (n_out, n_in)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(n_out))
    torch.testing.assert_close(
        rescale(torch.full((1, 2, n_in, n_in), 3.7), ratio, kernel),
        torch.full((1, 2, n_out, n_out), 3.7),
    )


@pytest.mark.parametrize(('n_in', 'n_out'), [(9, 3), (10, 3), (5, 1), (7, 5), (6, 4)])
@pytest.mark.parametrize('kernel', KERNELS)
def test_a_map_with_windows_too_many_or_too_few_is_shared_out(kernel, n_in, n_out):
    """At ratio 2, which would want 2 · n_out cells, or one fewer: every cell counts, evenly."""
    weights = overlap_weights(n_in, n_out, Fraction(2), kernel)
    torch.testing.assert_close(weights.sum(1), torch.ones(n_out))
    assert (weights.sum(0) > 0).all()
    if kernel == 'average':
        torch.testing.assert_close(weights.sum(0), torch.full((n_in,), n_out / n_in))


def test_sharing_out_by_hand():
    assert row([1.0, 2, 3, 4, 5, 6], 2) == [1.5, 3.5, 5.5]
    module = FeatureRescale(Fraction(2))
    (out,) = module((torch.tensor([[[[1.0, 2, 3, 4, 5, 6]]]]),), [(1, 2)])
    assert out.flatten().tolist() == [2, 5]  # thirds would be lost
    (out,) = module((torch.tensor([[[[1.0, 2, 3, 4, 5]]]]),), [(1, 4)])
    expected = [(1 + 0.25 * 2) / 1.25, (0.75 * 2 + 0.5 * 3) / 1.25]
    assert out.flatten().tolist()[:2] == pytest.approx(expected)


@pytest.mark.parametrize('kernel', KERNELS)
def test_more_cells_than_there_are_is_an_error(kernel):
    module = FeatureRescale(Fraction(2), kernel)
    with pytest.raises(ValueError, match='4 cells cannot be shrunk to 5 cells'):
        module((torch.zeros(1, 1, 4, 4),), [(2, 5)])


def test_levels_and_sizes_must_be_as_many():
    with pytest.raises(ValueError):
        FeatureRescale(Fraction(2))((torch.zeros(1, 1, 4, 4),), [(2, 2), (1, 1)])


def test_unknown_kernel_is_an_error():
    with pytest.raises(ValueError, match="kernel='gauss'.*'average' or 'centred'"):
        FeatureRescale(Fraction(2), 'gauss')


def test_has_no_state_and_keeps_the_dtype():
    module = FeatureRescale(Fraction(3, 2))
    assert not module.state_dict()
    for dtype in (torch.float64, torch.bfloat16):
        (out,) = module((torch.ones(1, 1, 6, 6, dtype=dtype),), [(4, 4)])
        assert out.dtype == dtype


def test_gradients_flow_also_after_inference_mode():
    overlap_weights.cache_clear()
    feat = torch.randn(1, 1, 6, 6)
    with torch.inference_mode():
        rescale(feat, 2)
    feat.requires_grad_()
    rescale(feat, 2).sum().backward()
    torch.testing.assert_close(feat.grad, torch.full_like(feat, 1 / 4))
