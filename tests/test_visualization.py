import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from pd_mmdet.visualization import save_picture, to_display

PIXELS = torch.tensor([[10, 20], [30, 40]])  # (H, W)


def image(*channels: torch.Tensor, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.stack(channels).to(dtype)


@pytest.mark.parametrize('channels', [1, 2])
def test_the_first_channel_is_shown_in_grey(channels):
    shown = to_display(image(PIXELS, 5 * PIXELS)[:channels])
    assert shown.shape == (2, 2, 3) and shown.dtype == np.uint8
    assert (shown == PIXELS.numpy()[..., None]).all()


@pytest.mark.parametrize('channels', [3, 4, 5])
@pytest.mark.parametrize('bgr, order', [(True, (2, 1, 0)), (False, (0, 1, 2))])
def test_the_first_three_channels_are_colours(channels, bgr, order):
    given = image(*(PIXELS + channel for channel in range(channels)))
    shown = to_display(given, bgr)
    for place, channel in enumerate(order):
        assert (shown[..., place] == given[channel].numpy()).all()


@pytest.mark.parametrize(
    'values, dtype',
    [
        ([1000, 2000, 3000, 6100], torch.uint16),
        ([1000, 2000, 3000, 6100], torch.int32),
        ([0.1, 0.2, 0.3, 0.61], torch.float32),
        ([-2.0, -1.0, 0.0, 3.1], torch.float16),
    ],
)
def test_other_ranges_are_spread_over_that_of_a_screen(values, dtype):
    """1000 above the least of a range of 5100 is 50 of 255."""
    given = torch.tensor(values).reshape(1, 2, 2).to(dtype)
    assert to_display(given)[..., 0].flatten().tolist() == [0, 50, 100, 255]


def test_what_is_not_shown_does_not_count():
    infrared = 60000 * torch.ones(2, 2)
    shown = to_display(image(*3 * [PIXELS], infrared, dtype=torch.uint16))
    assert shown.max() == 255 and shown.min() == 0


def test_an_image_of_one_value_is_black():
    assert not to_display(torch.full((1, 2, 2), 7.0)).any()


def test_a_picture_that_fails_is_a_warning(tmp_path, capsys):
    assert save_picture(Figure, tmp_path / 'good.png')
    assert cv2.imread(str(tmp_path / 'good.png')) is not None

    def draw():
        raise KeyError('img_path')

    assert not save_picture(draw, tmp_path / 'bad.png')
    said = capsys.readouterr()
    path = tmp_path / 'bad.png'
    assert said.err == f"warning: {path} could not be drawn (KeyError: 'img_path')\n"
    assert not said.out and not path.exists()
