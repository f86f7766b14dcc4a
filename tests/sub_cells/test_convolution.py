"""A convolution with sub-cells beside a plain one."""

import pytest
import torch
from torch import nn

from pd_mmdet.sub_cells import SubCellConv2d


def shuffled(cells: int = 2) -> SubCellConv2d:
    return SubCellConv2d(nn.Conv2d(4, 3, 3, padding=1), cells)


def test_each_sub_cell_is_one_channel_of_its_cell():
    conv = SubCellConv2d(nn.Conv2d(1, 1, 1), 2)
    conv.weight.data.zero_()
    conv.bias.data = torch.tensor([1.0, 2, 3, 4])
    assert conv(torch.zeros(1, 1, 1, 2)).tolist() == [[[[1, 2, 1, 2], [3, 4, 3, 4]]]]


@pytest.mark.parametrize('options', [{}, dict(bias=False), dict(groups=2), dict(stride=2)])
@pytest.mark.parametrize('cells', [2, 3])
def test_of_plain_weights_each_sub_cell_starts_as_its_cell(cells, options):
    plain = nn.Conv2d(4, 6, 3, padding=1, **options)
    conv = SubCellConv2d(plain, cells)
    conv.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, 8, 6)
    expected = plain(x).repeat_interleave(cells, 2).repeat_interleave(cells, 3)
    torch.testing.assert_close(conv(x), expected)


def test_its_own_weights_are_loaded_as_they_are():
    first, second = shuffled(), shuffled()
    second.load_state_dict(first.state_dict())
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(second(x), first(x), rtol=0, atol=0)


def test_weights_of_other_cells_do_not_fit():
    with pytest.raises(RuntimeError, match='size mismatch for weight'):
        shuffled(2).load_state_dict(shuffled(3).state_dict())
