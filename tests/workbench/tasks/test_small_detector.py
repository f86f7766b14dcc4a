from fractions import Fraction

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config

from pd_mmdet.workbench.config_text import config_text
from pd_mmdet.workbench.tasks.small_detector import small_detector

TWO = Fraction(2)


def model_of(name: str) -> dict:
    return get_config(f'mmdet::{name}').model


def merged(model: dict, ratio: Fraction, tmp_path) -> Config:
    """The model that a config with the changes describes."""
    Config(dict(model=model)).dump(tmp_path / 'given.py')
    changes = dict(_base_='./given.py', model=small_detector(model, ratio))
    (tmp_path / 'small.py').write_text(config_text('Small.', changes))
    return Config.fromfile(tmp_path / 'small.py').model


@pytest.mark.parametrize(
    'name, generators',
    {
        'retinanet/retinanet_r50_fpn_1x_coco.py': ['bbox_head.anchor_generator'],
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': ['rpn_head.anchor_generator'],
        'atss/atss_r50_fpn_1x_coco.py': ['bbox_head.anchor_generator'],
        'sabl/sabl-retinanet_r50_fpn_1x_coco.py': [
            'bbox_head.approx_anchor_generator',
            'bbox_head.square_anchor_generator',
        ],
    }.items(),
)
@pytest.mark.parametrize('ratio', [TWO, Fraction(3), Fraction(3, 2)])
def test_anchors_shrink_with_the_objects(name, generators, ratio, tmp_path):
    register_all_modules()
    given = model_of(name)
    small = merged(given, ratio, tmp_path)
    for path in generators:
        head, generator = path.split('.')
        large, little = (TASK_UTILS.build(cfg[head][generator]) for cfg in (given, small))
        for own, other in zip(large.base_anchors, little.base_anchors):
            size, small_size = own[:, 2:] - own[:, :2], other[:, 2:] - other[:, :2]
            assert torch.allclose(size, small_size * float(ratio))
        assert large.strides == little.strides


@pytest.mark.parametrize('ratio', [TWO, Fraction(3), Fraction(3, 2)])
@pytest.mark.parametrize(
    'name',
    [
        'yolo/yolov3_d53_8xb8-320-273e_coco.py',
        'ssd/ssd300_coco.py',
        'ssd/ssd512_coco.py',
        'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',
    ],
)
def test_anchors_whose_sizes_are_said_level_by_level_shrink(name, ratio, tmp_path):
    register_all_modules()
    given = model_of(name)
    small = merged(given, ratio, tmp_path)
    large, little = (
        TASK_UTILS.build(cfg.bbox_head.anchor_generator).base_anchors for cfg in (given, small)
    )
    for own, other in zip(large, little, strict=True):
        size, small_size = own[:, 2:] - own[:, :2], other[:, 2:] - other[:, :2]
        assert torch.allclose(size, small_size * float(ratio))


def test_base_sizes_that_scales_multiply_shrink_once():
    generator = dict(type='AnchorGenerator', base_sizes=[16, 32], scales=[8], strides=[16, 32])
    head = small_detector(dict(rpn_head=dict(anchor_generator=generator)), TWO)['rpn_head']
    assert head['anchor_generator'] == dict(base_sizes=[8, 16])


def test_anchors_of_unknown_generators_stay_with_a_remark():
    generator = dict(type='LegacySSDAnchorGenerator', input_size=300, strides=[8, 16])
    head = small_detector(dict(bbox_head=dict(anchor_generator=generator)), TWO)['bbox_head']
    assert list(head) == ['remark'] and 'is not known: set it here' in head['remark']


def test_the_stem_is_trained(tmp_path):
    register_all_modules()
    given = model_of('retinanet/retinanet_r50_fpn_1x_coco.py')
    frozen, free = (MODELS.build(cfg.backbone) for cfg in (given, merged(given, TWO, tmp_path)))
    assert not frozen.conv1.weight.requires_grad and free.conv1.weight.requires_grad


def test_batches_are_resized_to_smaller_sizes():
    changes = small_detector(model_of('yolox/yolox_s_8xb8-300e_coco.py'), TWO)
    (augment,) = changes['data_preprocessor']['batch_augments']
    assert augment['random_size_range'] == (240, 400)
    assert augment['size_divisor'] == 32 and augment['interval'] == 10


def test_batches_are_padded_to_whole_strides_where_they_were_not():
    changes = small_detector(model_of('rtmdet/rtmdet_tiny_8xb32-300e_coco.py'), TWO)
    assert changes['data_preprocessor']['pad_size_divisor'] == 32


def test_masks_are_padded_with_images_that_were_not():
    name = 'rtmdet/rtmdet{}_tiny_8xb32-300e_coco.py'
    said = [small_detector(model_of(name.format(kind)), TWO) for kind in ('-ins', '')]
    assert [one['data_preprocessor'].get('pad_mask') for one in said] == [True, None]


def test_points_stay():
    fcos = model_of('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py')
    assert list(small_detector(fcos, TWO)) == ['backbone']
    rtmdet = model_of('rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    assert rtmdet.bbox_head.anchor_generator.type == 'MlvlPointGenerator'
    assert list(small_detector(rtmdet, TWO)) == ['data_preprocessor']


def test_a_backbone_that_freezes_nothing_stays():
    efficientnet = model_of('efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py')
    assert efficientnet.backbone.frozen_stages == 0
    assert 'backbone' not in small_detector(efficientnet, TWO)
