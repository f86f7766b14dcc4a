"""The pipeline of the small image yields what LowResolution yields, in MMPretrain's words."""

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

pytest.importorskip('mmpretrain')

import pd_mmdet.classification  # noqa: E402, F401
from pd_mmdet.transforms import LowResolution  # noqa: E402
from pd_mmdet.workbench.deployed_data import deployed_pipeline  # noqa: E402

LOAD = dict(type='LoadImageFromFile')
PACK = dict(type='PackPairedInputs')
EDGE = dict(type='ResizeEdge', scale=256, edge='short')
CROP = dict(type='CenterCrop', crop_size=224)


@pytest.fixture(autouse=True)
def classification_scope(scope_and_seed: None) -> None:
    init_default_scope('mmpretrain')


@pytest.mark.parametrize(
    'crops',
    [
        [EDGE, CROP],
        [dict(type='RandomResizedCrop', scale=(224, 192), crop_ratio_range=(0.3, 1.0))],
        [dict(type='RandomCrop', crop_size=64, padding=6)],
        [dict(type='EfficientNetRandomCrop', scale=240)],
        [dict(type='EfficientNetCenterCrop', crop_size=240)],
        [dict(type='Resize', scale=(192, 224))],
        [dict(type='mmcv.Pad', size=(640, 512)), CROP],
    ],
)
@pytest.mark.parametrize('ratio', [2, 4, '4/3'])
def test_the_image_is_as_large_as_lr(tmp_path, crops, ratio):
    file = str(tmp_path / 'photograph.png')
    cv2.imwrite(file, np.random.RandomState(0).randint(0, 256, (300, 400, 3), dtype=np.uint8))
    low = dict(type='LowResolution', ratio=ratio, views=['lr'])
    pipeline = [LOAD, *crops, low, PACK]
    deployed = deployed_pipeline(pipeline, ratio)
    small, lr = (Compose(given)(dict(img_path=file)) for given in (deployed, pipeline))
    assert small['inputs'].shape == lr['inputs'].shape
    assert small['data_samples'].img_shape[:2] == lr['data_samples'].img_shape


def test_a_file_of_that_size_is_taken_as_it_is(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (128, 160, 3), dtype=np.uint8)
    file = str(tmp_path / 'small.png')
    cv2.imwrite(file, image)
    packed = Compose(deployed_pipeline([LOAD, EDGE, CROP, PACK], 2))(dict(img_path=file))
    inside = image[8:-8, 24:-24]
    np.testing.assert_array_equal(packed['inputs'].numpy().transpose(1, 2, 0), inside)


def test_it_speaks_of_mmpretrain_only():
    low = dict(type='LowResolution', ratio=2)
    pipeline = [LOAD, CROP, low, PACK | dict(algorithm_keys=('a',))]
    assert deployed_pipeline(pipeline, 2) == [
        LOAD,
        dict(type='CenterCrop', crop_size=112),
        dict(type='PackInputs', algorithm_keys=('a',)),
    ]
    # No crop, no resize: a classifier needs no scale factor.
    assert deployed_pipeline([LOAD, low, PACK], 2) == [LOAD, dict(type='PackInputs')]


WHOLE = CROP | dict(crop_size=216)  # a multiple of 3 and 4


@pytest.mark.parametrize('crops', [[], [dict(type='CenterCrop', crop_size=96)], [EDGE, WHOLE]])
@pytest.mark.parametrize('ratio, enlarge', [(2, 2), (4, 2), ('3/2', '3/2')])
def test_a_small_file_is_enlarged_as_in_training(tmp_path, crops, ratio, enlarge):
    large, small = str(tmp_path / 'large.png'), str(tmp_path / 'small.png')
    image = np.random.RandomState(0).randint(0, 256, (288, 288, 3), dtype=np.uint8)
    low = LowResolution(ratio, views=['lr'], enlarge=enlarge)
    cv2.imwrite(large, image)
    cv2.imwrite(small, LowResolution(ratio, views=['lr'])(dict(img=image.copy()))['img'])
    step = dict(type='LowResolution', ratio=ratio, views=['lr'], enlarge=enlarge)
    pipeline = [LOAD, *crops, step, PACK]
    deployed = deployed_pipeline(pipeline, low.view_ratio)
    read, lr = (
        Compose(given)(dict(img_path=file))['inputs'].numpy().astype(int)
        for given, file in ((deployed, small), (pipeline, large))
    )
    assert read.shape == lr.shape
    # At the border of a crop the one knows the neighbours, the other repeats what is inside. What
    # ResizeEdge made larger or smaller before is only alike.
    if EDGE not in crops:
        np.testing.assert_array_equal(read[:, 2:-2, 2:-2], lr[:, 2:-2, 2:-2])


def test_the_steps_of_an_enlarged_file():
    low = dict(type='LowResolution', ratio=4, enlarge=2)
    pad = dict(type='RandomCrop', crop_size=32, padding=4)
    names = [step['type'] for step in deployed_pipeline([LOAD, pad, low, PACK], 2)]
    assert names == ['LoadImageFromFile', 'Resize', 'RandomCrop', 'PackInputs']
    deployed = deployed_pipeline([pad, low, PACK], 2)  # images that a dataset has in memory
    assert deployed[0] == dict(type='Resize', scale_factor=2.0)
    assert deployed[1] == dict(type='RandomCrop', crop_size=16, padding=2)
    assert deployed_pipeline([LOAD, EDGE, CROP, low, PACK], 2) == [
        *(LOAD, EDGE | dict(scale=128), CROP | dict(crop_size=112), dict(type='PackInputs'))
    ]
    low = dict(type='LowResolution', ratio=4, enlarge='8/3')
    with pytest.raises(ValueError, match='at ratio 4 and enlarge 8/3 .* multiples of 12'):
        deployed_pipeline([LOAD, EDGE, CROP, low, PACK], 1.5)


@pytest.mark.parametrize(
    'large, small',
    [
        (EDGE, dict(scale=86)),
        (dict(type='EfficientNetCenterCrop', crop_size=240), dict(crop_size=80, crop_padding=11)),
        (dict(type='EfficientNetRandomCrop', scale=240, crop_padding=0),
         dict(scale=80, crop_padding=0)),
        (dict(type='RandomCrop', crop_size=33, padding=(3, 6)),
         dict(crop_size=11, padding=(1, 2))),
        (dict(type='Cutout', shape=16, prob=0.5), dict(shape=6)),
        (dict(type='GaussianBlur', magnitude_range=(0.3, 6.0)), dict(magnitude_range=(0.1, 2.0))),
        (dict(type='RandomErasing', max_area_ratio=0.3), {}),
    ],
)  # fmt: skip
def test_sizes(large, small):
    deployed = deployed_pipeline([dict(type='RandomApply', transforms=[large])], 3)
    for option, value in (large | small).items():
        assert deployed[0]['transforms'][0][option] == pytest.approx(value)


@pytest.mark.parametrize(
    'transforms, named',
    [
        ([CROP], r'CenterCrop\(crop_size=224\).*multiples of 3; .*=222 and 225'),
        ([dict(type='SimMIMMaskGenerator', input_size=192)], r'SimMIMMaskGenerator\(input_size'),
        ([dict(type='torchvision/Resize', size=176)], r'torchvision/Resize\(size=176\)'),
    ],
)
def test_refused(transforms, named):
    with pytest.raises(ValueError, match=named):
        deployed_pipeline([LOAD, *transforms, PACK], 3)
