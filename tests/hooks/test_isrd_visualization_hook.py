from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.dataset import BaseDataset, ConcatDataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pd_mmdet.hooks.isrd_visualization_hook import (
    ISRDVisualizationHook,
    blue_first,
    rebuild,
    side_by_side,
)

HOOK = dict(type='ISRDVisualizationHook')


@pytest.fixture
def with_isrd(distiller):
    return dict(distiller, isrd=dict(weight=0.5))


def test_pictures_of_the_same_images_at_the_start_and_the_end(make_runner, with_isrd):
    runner = make_runner('run', with_isrd, [HOOK])
    runner.train()
    pictures = sorted(Path(runner.log_dir).glob('vis_data/vis_image/*.png'))
    assert [file.name for file in pictures] == [
        *('isrd_0_1.png', 'isrd_0_2.png', 'isrd_1_1.png', 'isrd_1_2.png')
    ]
    before, after = (cv2.imread(str(file)) for file in pictures[:2])
    assert before.shape == (96, 3 * 96, 3)
    np.testing.assert_array_equal(before[:, :96], after[:, :96])
    np.testing.assert_array_equal(before[:, 192:], after[:, 192:])
    assert (before[:, 96:192] != after[:, 96:192]).any()


def test_pictures_in_tensorboard(make_runner, with_isrd):
    visualizer = dict(
        type='DetLocalVisualizer',
        name='tensorboard',
        vis_backends=[dict(type='TensorboardVisBackend')],
    )
    runner = make_runner('run', with_isrd, [HOOK], visualizer=visualizer)
    runner.train()
    events = EventAccumulator(runner.log_dir + '/vis_data').Reload()
    assert events.Tags()['images'] == ['isrd_0', 'isrd_1']
    shown = events.Images('isrd_0')
    assert [picture.step for picture in shown] == [1, 2]
    assert (shown[0].height, shown[0].width) == (96, 3 * 96)


def test_training_does_not_notice(make_runner, with_isrd):
    weights = []
    for name, hooks in (('without', []), ('with', [dict(HOOK, interval=1)])):
        runner = make_runner(name, deepcopy(with_isrd), hooks)
        runner.train()
        weights.append(runner.model.state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_model_without_isrd_has_no_pictures(make_runner, distiller):
    runner = make_runner('run', distiller, [dict(HOOK, interval=1)])
    runner.train()
    assert not list(Path(runner.log_dir).glob('vis_data/vis_image/*'))


RED = [255, 0, 0]
MEAN = [120.0, 80.0, 40.0]  # of red, green and blue


class OneImage(BaseDataset):
    """One red image: a file, or an array as CIFAR's, without a transform that loads it."""

    def __init__(self, image, pipeline):
        self.image = image
        super().__init__(pipeline=pipeline)

    def load_data_list(self):
        return [dict(img_path=self.image) if isinstance(self.image, str) else dict(img=self.image)]


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize(
    ('first', 'loader', 'mean', 'bgr_to_rgb'),
    [
        ('blue', dict(), MEAN, True),
        ('blue', dict(imdecode_backend='pillow'), MEAN[::-1], False),  # as Caffe
        ('blue', None, MEAN, True),
        ('red', None, MEAN, False),
    ],
)
def test_colours_are_those_of_the_images(
    with_isrd, tmp_path, wrapped, first, loader, mean, bgr_to_rgb
):
    image = np.full((64, 64, 3), RED if first == 'red' else RED[::-1], dtype=np.uint8)
    pipeline = [dict(type='LowResolution', ratio=2), dict(type='PackPairedDetInputs', meta_keys=())]
    if loader is not None:
        cv2.imwrite(str(tmp_path / 'red.png'), image)
        image = str(tmp_path / 'red.png')
        pipeline.insert(0, dict(type='LoadImageFromFile', **loader))
    data = OneImage(image, pipeline)
    inputs = data[0]['inputs']
    images = {view: [inputs[view]] for view in ('hr', 'lr')}

    cfg = deepcopy(with_isrd)
    cfg['student'].data_preprocessor.update(mean=mean, bgr_to_rgb=bgr_to_rgb)
    model = MODELS.build(cfg).eval()
    for parameter in model.distill['isrd'].parameters():
        torch.nn.init.zeros_(parameter)  # rebuilds zeros: the mean colour
    bgr = blue_first(ConcatDataset([data]) if wrapped else data, model)
    (picture,) = side_by_side(images, rebuild(model, images), bgr)
    small, rebuilt, large = (picture[5, 64 * place + 5].tolist() for place in range(3))
    assert small == large == RED
    assert rebuilt == MEAN


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize(
    ('dtype', 'low', 'high'), [(torch.uint16, 1000, 3000), (torch.float32, 0, 1)]
)
def test_any_channels_and_range(dtype, low, high, channels):
    """The large image's darkest value is black, its brightest white; what is beyond is as they."""
    large = torch.full((channels, 4, 6), low, dtype=torch.float64)
    large[0] = high
    large, small = large.to(dtype), large[:, ::2, ::2].to(dtype)
    rebuilt = torch.full((1, channels, 8, 8), low + (high - low) / 5)
    rebuilt[..., 3, 5] = 10 * high
    large[0, 0, 0] = low
    (picture,) = side_by_side(dict(hr=[large], lr=[small]), rebuilt, bgr=True)
    blue = [255] * 3 if channels == 1 else [0, 0, 255]
    assert picture.shape == (4, 18, 3)
    assert picture[3, 17].tolist() == picture[0, 0].tolist() == blue
    assert picture[0, 12].tolist() == [0, 0, 0]
    assert picture[0, 6].tolist() == [51] * 3 and picture[3, 11].tolist() == [255] * 3


@pytest.mark.parametrize('bgr', [True, False])
def test_views_and_their_order(bgr):
    large = torch.zeros(3, 4, 6, dtype=torch.uint8)
    large[0] = 200
    small, rebuilt = large[:, ::2, ::2] // 2, torch.full((1, 3, 8, 8), 7.4)
    rebuilt[..., 3, 5] = 300
    (picture,) = side_by_side(dict(hr=[large], lr=[small]), rebuilt, bgr)
    first = -1 if bgr else 0  # of the picture's red, green and blue
    assert picture.shape == (4, 18, 3)
    for place, value in (((0, 0), 100), ((0, 17), 200)):
        assert picture[place][first] == picture[place].sum() == value
    assert picture[3, 6].tolist() == [7, 7, 7] and picture[3, 11].tolist() == [255] * 3


@pytest.mark.parametrize('options', [dict(interval=0), dict(num_images=0)])
def test_bad_options(options):
    with pytest.raises(ValueError, match='must be 1 or more'):
        ISRDVisualizationHook(**options)
