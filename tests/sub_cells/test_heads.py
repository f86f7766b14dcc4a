"""Sub-cells in the heads of MMDetection's zoo."""

from fractions import Fraction

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn
from torch.utils._pytree import tree_leaves

from pd_mmdet.sub_cells.heads import divide_cells
from tests.helpers.dense_heads import build, head_cfg, pyramid

SERVED = [
    *('Retina', 'FSAF', 'RPN', 'ATSS', 'PAA', 'DDOD', 'GFL', 'FCOS', 'FCOSInStrides', 'NASFCOS'),
    *('RTMDet', 'RTMDetExp', 'RTMDetObjectness', 'YOLOX'),
]
REFUSED = dict(
    SSD='SubCellDetector knows',
    YOLOF='SubCellDetector knows',
    TOOD='an output besides',
    AutoAssign='its centre prior',
    VFNet='an output besides|reads its own outputs',
    CondInst='an output besides',
    RTMDetIns='its masks',
    YOLOV3='SubCellDetector knows',
    GARetina='SubCellDetector knows',
    RetinaLegacyAnchors='center_offset=0.5',
)


def with_cells(cfg: dict, cells: int) -> nn.Module:
    head = build(cfg)
    divide_cells(head, cells)
    return head


@pytest.mark.parametrize('name', SERVED)
def test_plain_weights_give_each_sub_cell_the_outputs_of_its_cell(name):
    plain, head = build(head_cfg(name)), with_cells(head_cfg(name), 2)
    head.load_state_dict(plain.state_dict())
    feats = pyramid(plain)
    with torch.no_grad():
        expected, found = (
            [leaf for leaf in tree_leaves(each(feats)) if isinstance(leaf, torch.Tensor)]
            for each in (plain, head)
        )
    assert len(found) == len(expected)
    for value, wanted in zip(found, expected):
        wanted = wanted.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if name.startswith('RTMDet') and wanted.shape[1] == 4:
            wanted = wanted / 2  # it answers in pixels: distances × stride, which is half
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', SERVED)
@pytest.mark.parametrize('ratio', [2, 4])
def test_priors_are_those_of_the_stock_head_on_the_large_image(name, ratio):
    """With c = k, if the student's anchors are as large as the stock ones on the small image."""
    stock = MODELS.build(head_cfg(name)).prior_generator
    cfg = head_cfg(name)
    generator = cfg.get('anchor_generator', {})
    sizes = [Fraction(size, ratio) for size in getattr(stock, 'base_sizes', ())]
    if sizes:
        generator.base_sizes = [float(size) for size in sizes]
    head = with_cells(cfg, ratio)
    # Level i of the student, on its small image, has the cells of level i of the stock head.
    sides = [(6, 10)] * stock.num_levels
    found = head.prior_generator.grid_priors(sides, device='cpu')
    for priors, expected in zip(found, stock.grid_priors(sides, device='cpu'), strict=True):
        torch.testing.assert_close(priors * ratio, expected)


@pytest.mark.parametrize('name', REFUSED)
def test_refused_with_the_reason(name):
    cfg = head_cfg('Retina' if name == 'RetinaLegacyAnchors' else name)
    if name == 'RetinaLegacyAnchors':
        cfg.anchor_generator.update(type='LegacyAnchorGenerator', center_offset=0.5)
    with pytest.raises(NotImplementedError, match=f'^sub-cells of a .*: .*({REFUSED[name]})'):
        with_cells(cfg, 2)


def test_strides_that_do_not_divide_are_fractions():
    head = with_cells(head_cfg('FCOS'), 3)
    assert head.strides == [8 / 3, 16 / 3, 32 / 3, 64 / 3, 128 / 3]
    assert head.prior_generator.strides[0] == (8 / 3, 8 / 3)
