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
from pd_mmdet.transforms import LowResolution
from pd_mmdet.workbench.deployed_data import (
    deployed_pipeline,
    makes_small,
    small_file,
    stock_dataset,
)

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
        (dict(type='LowResolution', ratio=4), r"ratio=4, enlarge=1\), but .* at ratio 2"),
        (dict(type='LowResolution', ratio=2, enlarge=2), r"ratio=2, enlarge=2\), but .* ratio 2"),
        (dict(type='LowResolution', ratio=2, enlarge=3), r"enlarge=3 with ratio=2"),
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


# Enlarged

ENLARGED = pytest.mark.parametrize(
    ('ratio', 'enlarge'), [(2, 2), (4, 2), (4, 4), ('3/2', '3/2'), (3, 1.5), (4, '8/3')]
)


@ENLARGED
def test_a_small_file_is_enlarged_as_in_training(tmp_path, ratio, enlarge):
    """Bit for bit where the photograph is as large as it is read."""
    photograph = np.random.default_rng(0).integers(0, 256, (120, 180, 3), np.uint8)
    files = tmp_path / 'large.png', tmp_path / 'small.png'
    small = LowResolution(ratio, views=['lr'])(dict(img=photograph.copy()))['img']
    for file, image in zip(files, (photograph, small)):
        cv2.imwrite(str(file), image)
    low = LowResolution(ratio, views=['lr'], enlarge=enlarge)
    step = dict(type='LowResolution', ratio=ratio, views=['lr'], enlarge=enlarge)
    resize = dict(type='Resize', scale=(180, 120))
    for resizes in ([resize], [resize | dict(keep_ratio=True)], [dict(RELATIVE)], []):
        pipeline = [LOAD, *resizes, step, dict(type='PackDetInputs')]
        deployed = deployed_pipeline(pipeline, low.view_ratio)
        large, found = (read(each, file) for each, file in zip((pipeline, deployed), files))
        assert torch.equal(found['inputs'], large['inputs'])
        assert found['data_samples'].img_shape == large['data_samples'].img_shape
        # Predictions come back in pixels of the small file.
        factor = float(Fraction(ratio)) * np.array(large['data_samples'].scale_factor)
        assert found['data_samples'].scale_factor == pytest.approx(tuple(factor))


RELATIVE = dict(type='Resize', scale_factor=1.0)
TWICE = dict(type='LowResolution', ratio=4, enlarge=2, views=['lr'])


@pytest.mark.parametrize(
    'steps, expected',
    [
        # What comes before the first resize is in pixels of the file, of a quarter.
        ([dict(type='RandomCrop', crop_size=(96, 64)), dict(type='Resize', scale=(96, 64)),
          dict(type='RandomCrop', crop_size=(48, 32))],
         [dict(type='RandomCrop', crop_size=(24, 16)), dict(type='Resize', scale=(48, 32)),
          dict(type='RandomCrop', crop_size=(24, 16))]),
        ([dict(type='Mosaic', img_scale=(64, 64)), dict(type='Resize', scale=(64, 64))],
         [dict(type='Mosaic', img_scale=(16, 16)), dict(type='Resize', scale=(32, 32))]),
        # One that resizes by a factor resizes the small file.
        ([dict(type='Resize', scale_factor=(0.5, 0.25))],
         [dict(type='Resize', scale_factor=(1.0, 0.5))]),
        ([dict(type='RandomFlip', prob=0.5), dict(type='RandomResize', scale=(64, 64),
                                                  ratio_range=(0.5, 2.0))],
         [dict(type='RandomFlip', prob=0.5), dict(type='RandomResize', scale=(32, 32),
                                                  ratio_range=(0.5, 2.0))]),
        # Nothing resizes: the file is enlarged first.
        ([dict(type='RandomCrop', crop_size=(96, 64))],
         [dict(type='Resize', scale_factor=2.0), dict(type='RandomCrop', crop_size=(48, 32))]),
        ([], [dict(type='Resize', scale_factor=2.0)]),
    ],
)  # fmt: skip
def test_steps_of_an_enlarged_file(steps, expected):
    annotations = dict(type='LoadAnnotations', with_bbox=True)
    # In testing, annotations are loaded last, and stay in pixels of the file.
    pipeline = [LOAD, *steps, TWICE, annotations, PACK]
    last = [annotations, dict(type='PackDetInputs')]
    assert deployed_pipeline(pipeline, 2) == [LOAD, *expected, *last]
    pipeline = [LOAD, annotations, *steps, TWICE, PACK]
    assert deployed_pipeline(pipeline, 2) == [LOAD, annotations, *expected, last[1]]


def test_test_time_augmentation_of_an_enlarged_file():
    groups = [[dict(type='RandomFlip', prob=1.0)], [TWICE], [PACK]]
    pipeline = [LOAD, dict(type='TestTimeAug', transforms=groups)]
    names = [step['type'] for step in deployed_pipeline(pipeline, 2)]
    assert names == ['LoadImageFromFile', 'Resize', 'TestTimeAug']
    groups[0] = [dict(type='Resize', scale=(side, side)) for side in (64, 96)]
    _, tta = deployed_pipeline(pipeline, 2)
    assert [step['scale'] for step in tta['transforms'][0]] == [(32, 32), (48, 48)]


def test_the_size_of_the_files_is_found_in_any_part_of_a_config():
    assert small_file(dict(dataset=dict(pipeline=[LOAD, TWICE]))) == (4, 2)
    assert small_file([LOAD, dict(type='mmdet.LowResolution', ratio='3/2')]) == (Fraction(3, 2), 1)
    assert small_file([LOAD, PACK]) is None
    assert small_file(None) is None
