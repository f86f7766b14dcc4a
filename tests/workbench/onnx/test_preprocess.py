from fractions import Fraction

import mmcv
import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from pd_mmdet.workbench.onnx.preprocess import Preprocess, enlarge_bytes

NORM = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True)


@pytest.mark.parametrize('options', [NORM, dict(NORM, bgr_to_rgb=False, pad_value=7), {}])
def test_it_prepares_images_as_the_preprocessor_does(options):
    stock = DetDataPreprocessor(pad_size_divisor=32, **options)
    images = torch.randint(0, 256, (2, 3, 41, 32), dtype=torch.uint8)
    expected = stock(dict(inputs=list(images), data_samples=None))['inputs']
    found = Preprocess(stock, Fraction(1))(images.permute(0, 2, 3, 1))
    assert found.shape == (2, 3, 64, 32) and torch.equal(found, expected)


def test_a_grey_image_has_three_equal_channels():
    stock = DetDataPreprocessor(**NORM)
    grey = torch.randint(0, 256, (1, 8, 8, 1), dtype=torch.uint8)
    found = Preprocess(stock, Fraction(1), repeat=True)(grey)
    assert torch.equal(found, Preprocess(stock, Fraction(1))(grey.expand(-1, -1, -1, 3)))


@pytest.mark.parametrize('enlarge', [Fraction(2), Fraction(3, 2), Fraction(4)])
def test_bytes_are_enlarged_as_opencv_does_but_for_its_rounding(enlarge):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    height, width = int(20 * enlarge), int(30 * enlarge)
    expected = mmcv.imresize(image, (width, height)).astype(int)
    found = enlarge_bytes(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (height, width))
    assert np.abs(found[0].permute(1, 2, 0).numpy() - expected).max() == 1
