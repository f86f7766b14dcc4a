from copy import deepcopy
from fractions import Fraction
from functools import cache

import pytest
from mmdet.models.dense_heads import RetinaHead
from mmdet.models.task_modules import AnchorGenerator
from mmengine.config import ConfigDict
from mmengine.hub import get_config

from pd_mmdet.afp.priors import large_divisor, rescale_priors

RATIOS = [Fraction(3, 2), Fraction(2), Fraction(4)]
REFUSED = {
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco': 'FasterRCNN',
    'rpn/rpn_r50_fpn_1x_coco': 'RPN',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco': 'FCOSHead',
    'ssd/ssd300_coco': 'SSDHead',
    'yolox/yolox_s_8xb8-300e_coco': 'YOLOXHead',
    'yolo/yolov3_d53_8xb8-320-273e_coco': 'YOLOV3Head',
    'vfnet/vfnet_r50_fpn_1x_coco': 'VFNetHead',
    'reppoints/reppoints-moment_r50_fpn_1x_coco': 'RepPointsHead',
    'rtmdet/rtmdet_tiny_8xb32-300e_coco': 'RTMDetSepBNHead',
    'detr/detr_r50_8xb2-150e_coco': 'DETRHead',
    'pisa/retinanet-r50_fpn_pisa_1x_coco': 'PISARetinaHead',
}


read = cache(get_config)


def zoo(name):
    return deepcopy(read(f'mmdet::{name}.py').model)


def retinanet():
    return zoo('retinanet/retinanet_r18_fpn_1x_coco')


@pytest.mark.parametrize('ratio', RATIOS)
def test_only_lengths_in_pixels_are_multiplied(ratio):
    cfg = retinanet()
    expected = deepcopy(cfg)
    expected.bbox_head.anchor_generator.strides = [s * ratio for s in (8, 16, 32, 64, 128)]
    expected.data_preprocessor.pad_size_divisor = 32 * ratio
    assert rescale_priors(cfg, ratio).to_dict() == expected.to_dict()


@pytest.mark.parametrize('ratio', RATIOS)
def test_optional_lengths_are_multiplied(ratio):
    cfg = retinanet()
    cfg.bbox_head.anchor_generator.update(
        strides=[(8, 16), (16, 32)],
        base_sizes=[6, 12.5],
        centers=[(4, 5.0), [8, 9]],
    )
    cfg.bbox_head.bbox_coder.update(add_ctr_clamp=True, ctr_clamp=10)
    cfg.train_cfg.allowed_border = 6
    cfg.test_cfg.min_bbox_size = 2
    cfg.data_preprocessor.batch_augments = [
        dict(type='BatchFixedSizePad', size=(64, 96)),
        dict(type='BatchSyncRandomResize', random_size_range=(64, 128), size_divisor=32),
    ]
    cfg = rescale_priors(cfg, ratio)
    assert cfg.bbox_head.anchor_generator.strides == [
        [8 * ratio, 16 * ratio],
        [16 * ratio, 32 * ratio],
    ]
    assert cfg.bbox_head.anchor_generator.base_sizes == [6 * ratio, 12.5 * ratio]
    assert cfg.bbox_head.anchor_generator.centers == [
        [4 * ratio, 5 * ratio],
        [8 * ratio, 9 * ratio],
    ]
    assert cfg.bbox_head.bbox_coder.ctr_clamp == 10 * ratio
    assert cfg.train_cfg.allowed_border == 6 * ratio
    assert cfg.test_cfg.min_bbox_size == 2  # in pixels of the file
    pad, resize = cfg.data_preprocessor.batch_augments
    assert pad['size'] == [64 * ratio, 96 * ratio]
    assert resize.random_size_range == [64 * ratio, 128 * ratio]
    assert resize.size_divisor == 32 * ratio


def test_defaults_in_pixels_are_multiplied():
    cfg = retinanet()
    del cfg.bbox_head['anchor_generator']
    cfg.bbox_head.bbox_coder = dict(type='DeltaXYWHBBoxCoder', add_ctr_clamp=True)
    head = rescale_priors(cfg, Fraction(2)).bbox_head
    assert head.anchor_generator.strides == [16, 32, 64, 128, 256]  # RetinaHead's: from 8
    assert head.anchor_generator.octave_base_scale == 4
    assert head.bbox_coder.ctr_clamp == 64  # DeltaXYWHBBoxCoder's: 32


def test_strides_that_are_no_whole_numbers():
    cfg = rescale_priors(retinanet(), Fraction(4, 3))
    assert cfg.bbox_head.anchor_generator.strides == pytest.approx(
        [32 / 3, 64 / 3, 128 / 3, 256 / 3, 512 / 3]
    )


@pytest.mark.parametrize(
    'divisor, ratio, expected',
    [
        (32, '2', 64),
        (32, '4', 128),
        (32, '3/2', 48),
        (32, '4/3', 128),  # 128 = 96 · 4/3; 32 and 64 have no whole 4/3
        (32, '5/4', 40),
        (1, '2', 2),
        (1, '3/2', 3),
        (1, '5/4', 5),
        (6, '5/4', 15),  # 15 = 12 · 5/4
    ],
)
def test_divisor_pads_the_small_image_to_a_multiple_of_its_own(divisor, ratio, expected):
    assert large_divisor(divisor, Fraction(ratio)) == expected
    cfg = retinanet()
    cfg.data_preprocessor.pad_size_divisor = divisor
    assert rescale_priors(cfg, Fraction(ratio)).data_preprocessor.pad_size_divisor == expected


def test_a_preprocessor_without_a_divisor_pads_by_one_pixel():
    cfg = retinanet()
    del cfg.data_preprocessor['pad_size_divisor']
    assert rescale_priors(cfg, Fraction(3, 2)).data_preprocessor.pad_size_divisor == 3
    del cfg['data_preprocessor']
    assert 'data_preprocessor' not in rescale_priors(cfg, Fraction(2))


def test_types_may_be_classes_or_carry_the_scope():
    for head, generator in (
        (RetinaHead, AnchorGenerator),
        ('mmdet.RetinaHead', 'mmdet.AnchorGenerator'),
    ):
        cfg = retinanet()
        cfg.bbox_head.type = head
        cfg.bbox_head.anchor_generator.type = generator
        rescaled = rescale_priors(cfg, Fraction(2)).bbox_head
        assert rescaled.anchor_generator.strides == [16, 32, 64, 128, 256]
        assert rescaled.type == head


def test_its_input_stays_as_it_was():
    for cfg in (retinanet(), retinanet().to_dict()):
        before = deepcopy(cfg)
        rescaled = rescale_priors(cfg, Fraction(2))
        assert isinstance(rescaled, ConfigDict)
        rescaled.bbox_head.anchor_generator.ratios.append(3.0)
        assert cfg == before


@pytest.mark.parametrize('name', REFUSED)
def test_refuses_what_multiplication_does_not_align(name):
    with pytest.raises(NotImplementedError, match=f"'{REFUSED[name]}'"):
        rescale_priors(zoo(name), Fraction(2))


def test_refuses_other_prior_generators():
    cfg = retinanet()
    cfg.bbox_head.anchor_generator.type = 'LegacyAnchorGenerator'
    with pytest.raises(NotImplementedError, match="'LegacyAnchorGenerator'"):
        rescale_priors(cfg, Fraction(2))


def test_refuses_a_head_that_nobody_registered():
    cfg = retinanet()
    cfg.bbox_head.type = 'NoHead'
    with pytest.raises(NotImplementedError, match="'NoHead'.*RetinaHead"):
        rescale_priors(cfg, Fraction(2))
