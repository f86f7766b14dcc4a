"""The pipeline of the small image yields what LowResolution yields, in stock words."""

from copy import deepcopy
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.hub import get_config

import pd_mmdet  # noqa: F401
from pd_mmdet.workbench.deployed_data import deployed_pipeline, makes_small, stock_dataset

register_all_modules()
LOAD = dict(type='LoadImageFromFile')
PACK = dict(type='PackPairedDetInputs')


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> list[Path]:
    """Photographs: lying, standing, smaller than they are read, and long."""
    folder = tmp_path_factory.mktemp('files')
    noise = np.random.default_rng(0)
    files = []
    for width, height in [(640, 480), (427, 640), (150, 113), (1200, 300)]:
        files.append(folder / f'{width}x{height}.png')
        image = noise.integers(0, 255, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(files[-1]), image)
    return files


def read(pipeline: list[dict], file: Path) -> dict:
    return Compose(pipeline)(dict(img_path=str(file), img_id=0))


@pytest.mark.parametrize('ratio', [2, 3, 4, 1.5, '4/3'])
@pytest.mark.parametrize('scale', [(1333, 800), (320, 240), (333, 201)])
@pytest.mark.parametrize('keep_ratio', [True, False])
def test_the_image_is_as_large_as_lr(files, ratio, scale, keep_ratio):
    pipeline = [
        LOAD,
        dict(type='Resize', scale=scale, keep_ratio=keep_ratio),
        dict(type='LowResolution', ratio=ratio, views=['lr']),
    ]
    # A side that the scale leaves free is rounded once more, and `hr` is padded for p/q.
    q = Fraction(str(ratio)).denominator
    slack = 0 if not keep_ratio else 1 if q == 1 else 1 + q
    for file in files:
        lr = read(pipeline, file)['img'].shape
        small = read(deployed_pipeline(pipeline, ratio), file)['img'].shape
        assert np.abs(np.subtract(small, lr)).max() <= slack, file.name


def test_a_file_of_that_size_is_taken_as_it_is(files, tmp_path):
    pipeline = [LOAD, dict(type='Resize', scale=(320, 240)), PACK]
    image = read([LOAD, dict(type='Resize', scale=(160, 120))], files[0])['img']
    small = tmp_path / 'small.png'
    cv2.imwrite(str(small), image)
    packed = read(deployed_pipeline(pipeline, 2), small)
    assert torch.equal(packed['inputs'], torch.from_numpy(image.transpose(2, 0, 1).copy()))
    assert packed['data_samples'].scale_factor == (1.0, 1.0)


def test_without_a_resize_the_scale_factor_is_still_told(files):
    pipeline = [LOAD, dict(type='LowResolution', ratio=2), PACK]
    packed = read(deployed_pipeline(pipeline, 2), files[0])
    image = cv2.imread(str(files[0]))
    assert torch.equal(packed['inputs'], torch.from_numpy(image.transpose(2, 0, 1).copy()))
    assert packed['data_samples'].scale_factor == (1.0, 1.0)


def test_it_speaks_of_mmdetection_only():
    meta_keys = ('img_id', 'ori_shape')
    pipeline = [
        LOAD,
        ConfigDict(type='mmdet.Resize', scale=(1333, 800), keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='LowResolution', ratio=2, degradation=dict(jpeg=50)),
        PACK | dict(meta_keys=meta_keys),
    ]
    before = deepcopy(pipeline)
    assert makes_small(pipeline)
    deployed = deployed_pipeline(pipeline, '2')
    assert deployed == [
        LOAD,
        dict(type='mmdet.Resize', scale=(667, 400), keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs', meta_keys=meta_keys),
    ]
    assert pipeline == before
    assert not makes_small(deployed)
    assert deployed_pipeline([LOAD, PACK], 2) == [LOAD, dict(type='PackDetInputs')]


@pytest.mark.parametrize(
    'large, small',
    [
        (dict(type='Resize', scale=640), dict(scale=320)),
        (dict(type='Resize', scale_factor=0.5), {}),
        (dict(type='RandomChoiceResize', scales=[(1333, 480), (1333, 800)]),
         dict(scales=[(667, 240), (667, 400)])),
        (dict(type='RandomResize', scale=(640, 640), ratio_range=(0.1, 2.0)),
         dict(scale=(320, 320))),
        (dict(type='RandomResize', scale=[(1333, 640), (1333, 800)]),
         dict(scale=[(667, 320), (667, 400)])),
        (dict(type='ResizeShortestEdge', scale=800, max_size=1333), dict(scale=400, max_size=667)),
        (dict(type='ResizeShortestEdge', scale=800), dict(scale=400)),
        (dict(type='Pad', size=(640, 640), pad_val=dict(img=114)), dict(size=(320, 320))),
        (dict(type='Pad', size_divisor=32), {}),
        (dict(type='Pad', pad_to_square=True), {}),
        (dict(type='RandomCrop', crop_size=(384, 600)), dict(crop_size=(192, 300))),
        (dict(type='RandomCrop', crop_type='relative_range', crop_size=(1, 1)), {}),
        (dict(type='RandomAffine', border=(-320, -320)), dict(border=(-160, -160))),
        (dict(type='Mosaic'), dict(img_scale=(320, 320))),
        (dict(type='CachedMixUp', img_scale=(1280, 1280)), dict(img_scale=(640, 640))),
        (dict(type='CutOut', n_holes=2, cutout_shape=[(4, 4), (8, 4)]),
         dict(cutout_shape=[(2, 2), (4, 2)])),
        (dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 3)), dict(min_gt_bbox_wh=(0.5, 1.5))),
        (dict(type='MinIoURandomCrop', min_crop_size=0.3), {}),
    ],
)  # fmt: skip
def test_sizes(large, small):
    assert deployed_pipeline([large], 2) == [large | small]


def test_transforms_inside_transforms():
    def augmented(crop: int, *extra: dict) -> list[dict]:
        branches = [
            [dict(type='Resize', scale=(2 * crop, crop))],
            [dict(type='CenterCrop', crop_size=crop), *extra],
        ]
        return [dict(type='RandomChoice', transforms=branches), dict(type='TestTimeAug')]

    large = augmented(200, dict(type='LowResolution', ratio=4))
    assert makes_small(large)
    assert deployed_pipeline(large, 4) == augmented(50)


def test_pipelines_of_the_zoo():
    test = get_config('mmdet::yolox/yolox_s_8xb8-300e_coco.py').test_pipeline
    sizes = [transform.get('scale') for transform in deployed_pipeline(test, 2)]
    assert sizes == [None, (320, 320), None, None, None]
    for config, ratio in [('yolox/yolox_s_8xb8-300e_coco', 2), ('ssd/ssd300_coco', 1.5)]:
        train = get_config(f'mmdet::{config}.py').train_pipeline
        Compose(deployed_pipeline(train, ratio))  # can be built


@pytest.mark.parametrize(
    'transform, named',
    [
        (dict(type='MyTile', tile_size=(256, 256)), r'MyTile\(tile_size=\(256, 256\)\)'),
        (dict(type='Albu', transforms=[dict(type='RandomCrop', height=200, width=200)]), 'height='),
        (dict(type='LowResolution', ratio=4), r"ratio=4\), but .* at ratio 2"),
    ],
)  # fmt: skip
def test_refused(transform, named):
    with pytest.raises(ValueError, match=named):
        deployed_pipeline([LOAD, transform, PACK], 2)


def test_a_dataset_of_this_package_becomes_the_one_that_it_extends():
    classes = ('RBC', 'WBC', 'Platelets')
    stock = stock_dataset(dict(type='mmdet.BCCDDataset', ann_file='x'))
    assert stock['type'] == 'XMLDataset' and stock['metainfo']['classes'] == classes
    own = stock_dataset(dict(type='BCCDDataset', metainfo=dict(classes=('cell',))))['metainfo']
    assert own == stock['metainfo'] | dict(classes=('cell',))
    for other in ('XMLDataset', 'ConcatDataset', 'LowResolution', None):
        assert stock_dataset(dict(type=other)) == {}


def test_a_group_of_test_time_augmentation_that_makes_views_goes():
    groups = [[dict(type='RandomFlip', prob=1.0)], [dict(type='LowResolution', ratio=2)], [PACK]]
    tta = deployed_pipeline([LOAD, dict(type='TestTimeAug', transforms=groups)], 2)[-1]
    names = [[step['type'] for step in group] for group in tta['transforms']]
    assert names == [['RandomFlip'], ['PackDetInputs']]
