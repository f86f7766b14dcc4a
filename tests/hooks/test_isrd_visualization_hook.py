from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pd_mmdet.hooks.isrd_visualization_hook import ISRDVisualizationHook, rebuild, side_by_side

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


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_what_is_rebuilt_comes_back_in_rgb(with_isrd, bgr_to_rgb):
    cfg = deepcopy(with_isrd)
    cfg['student'].data_preprocessor.bgr_to_rgb = bgr_to_rgb
    model = MODELS.build(cfg).eval()
    mean = model.data_preprocessor.student.mean.flatten()
    for parameter in model.distill['isrd'].parameters():
        torch.nn.init.zeros_(parameter)  # rebuilds zeros: the mean colour
    images = dict(hr=[torch.zeros(3, 64, 64).byte()], lr=[torch.zeros(3, 32, 32).byte()])
    colour = rebuild(model, images)[0, :, 5, 5]
    torch.testing.assert_close(colour, mean if bgr_to_rgb else mean.flip(0))


def test_views_and_their_order():
    large = torch.zeros(3, 4, 6, dtype=torch.uint8)
    large[0] = 200  # blue, in the order in which files are read
    small, rebuilt = large[:, ::2, ::2] // 2, torch.full((1, 3, 8, 8), 7.4)
    (picture,) = side_by_side(dict(hr=[large], lr=[small]), rebuilt)
    assert picture.shape == (4, 18, 3)
    assert picture[0, 0].tolist() == [0, 0, 100] and picture[0, 17].tolist() == [0, 0, 200]
    assert picture[3, 6].tolist() == [7, 7, 7]


@pytest.mark.parametrize('options', [dict(interval=0), dict(num_images=0)])
def test_bad_options(options):
    with pytest.raises(ValueError, match='must be above 0'):
        ISRDVisualizationHook(**options)
