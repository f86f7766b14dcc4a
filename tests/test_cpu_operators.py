import sys

import mmcv.ops
import pytest
import torch
from mmcv.ops.masked_conv import MaskedConv2d
from mmdet.registry import MODELS
from mmengine.hub import get_config

import pd_mmdet  # noqa: F401
from pd_mmdet.cpu_operators import OPERATORS, carafe, cpu_operators, deform_roi_pool


def test_the_originals_come_back():
    modules = [sys.modules[f'mmcv.ops.{module}'] for module, _ in OPERATORS]
    before = [getattr(module, name) for module, (_, name) in zip(modules, OPERATORS)]
    with pytest.raises(KeyError), cpu_operators():
        assert sys.modules['mmcv.ops.carafe'].carafe is carafe
        raise KeyError
    assert [getattr(module, name) for module, (_, name) in zip(modules, OPERATORS)] == before


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
    with cpu_operators():
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


def test_a_detector_that_only_a_gpu_can_train_is_distilled():
    """Its terms are those of the same detector with a neck that a CPU can run."""
    slim = dict(
        backbone=dict(depth=18, stem_channels=8, base_channels=8, frozen_stages=-1, init_cfg=None),
        neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
        rpn_head=dict(in_channels=16, feat_channels=16),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=16),
            bbox_head=dict(in_channels=16, fc_out_channels=16),
        ),
    )
    terms = dict(
        pkd=dict(student='neck', teacher='neck.afp', loss=dict(type='PearsonLoss'), weight=1.0),
        cls=dict(
            student='rpn_head', teacher='rpn_head', loss=dict(type='DenseHeadClsLoss'), weight=1.0
        ),
        roi=dict(
            student='roi_head.bbox_head',
            teacher='roi_head.bbox_head',
            loss=dict(type='RoIHeadClsLoss'),
            weight=1.0,
        ),
    )
    pairs = []
    for name in (
        'carafe/faster-rcnn_r50_fpn-carafe_1x_coco',
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    ):
        cfg = get_config(f'mmdet::{name}.py')
        cfg.merge_from_dict(dict(model=slim))
        teacher = dict(cfg=dict(type='AFPDetector', detector=cfg.model, ratio=2))
        options = dict(
            student=cfg.model, ratio=2, teacher=teacher, terms=terms, isrd=dict(weight=1.0)
        )
        distilled = MODELS.build(dict(type='AFPDistiller', **options)).distill
        pairs.append([distilled['pkd'].pairs, distilled['cls'].pairs])
    assert pairs[0] == pairs[1] and len(pairs[0][0]) == 5
