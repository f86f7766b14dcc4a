from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from inspect import Parameter, signature

import numpy as np
import pytest
from mmdet.models.data_preprocessors import (
    BatchFixedSizePad,
    BatchResize,
    BatchSyncRandomResize,
    BoxInstDataPreprocessor,
)
from mmdet.registry import TRANSFORMS as REGISTRY
from mmdet.utils import register_all_modules

from pd_mmdet.pixel_options import (
    BATCH_AUGMENTS,
    BOXINST,
    TRANSFORMS,
    fixed_side,
    round_up,
    scale_options,
    scale_transform,
    type_name,
)
from pd_mmdet.transforms import LowResolution

register_all_modules()


def stock_options(name: str) -> dict[str, Parameter]:
    """The options of every stock transform of that name, MMDetection's and MMPretrain's."""
    registries = [REGISTRY]
    if find_spec('mmpretrain'):
        registries.append(import_module('mmpretrain.registry').TRANSFORMS)
    options = {}
    for transform in filter(None, (registry.get(name) for registry in registries)):
        for base in reversed(transform.__mro__):
            options |= signature(base.__init__).parameters
    return options


@pytest.mark.parametrize('name', TRANSFORMS)
def test_the_table_has_the_stock_options_and_their_defaults(name):
    options = stock_options(name)
    for option, length in TRANSFORMS[name].items():
        if option not in options and not find_spec('mmpretrain'):
            continue
        stock = options[option].default
        # A default of (1, 1) for the smallest box stays.
        none = stock in (Parameter.empty, (0, 0), (1, 1))
        assert (None if none else stock) == length.default, option


def test_the_preprocessors_options_are_stock_ones():
    augments = (BatchFixedSizePad, BatchResize, BatchSyncRandomResize)
    stock = {option for kind in augments for option in signature(kind).parameters}
    assert set(BATCH_AUGMENTS) <= stock
    options = signature(BoxInstDataPreprocessor).parameters
    assert {name: length.default for name, length in BOXINST.items()} == {
        name: options[name].default for name in BOXINST
    }


@pytest.mark.parametrize('ratio', ['2', '3', '4', '3/2', '4/3', '5/4'])
def test_whole_pixels_are_those_of_the_small_image(ratio):
    ratio = Fraction(ratio)
    low = LowResolution(ratio, views=['lr'], min_side=1)
    for size in (*range(1, 40), 333, 1333):
        small = low(dict(img=np.zeros((1, size, 3), np.uint8)))['img']
        assert round_up(size, 1 / ratio) == small.shape[1]
        assert round_up(-size, 1 / ratio) == -small.shape[1]


@pytest.mark.parametrize('ratio', [Fraction(2), Fraction(3), Fraction(4, 3)])
def test_both_ways(ratio):
    transform = dict(type='mmdet.Resize', scale=(240, 480), keep_ratio=True)
    augments = [
        dict(type='BatchSyncRandomResize', random_size_range=[480, 960], size_divisor=32),
        dict(type='BatchFixedSizePad', size=(240, 240)),
        dict(type='BatchResize', scale=(480, 240), pad_size_divisor=32),
    ]
    small = scale_transform(transform, 1 / ratio)
    assert small['scale'] == (240 / ratio, 480 / ratio)
    assert scale_transform(small, ratio) == transform
    for augment in augments:
        small = scale_options(augment, BATCH_AUGMENTS, 1 / ratio)
        assert small != augment
        assert scale_options(small, BATCH_AUGMENTS, ratio) == augment


def test_names_and_fixed_sides():
    assert type_name(dict(type='mmdet.Resize')) == 'Resize'
    assert type_name(dict(type=LowResolution)) == type_name(LowResolution(2)) == 'LowResolution'
    assert fixed_side('CenterCrop') == 'crop_size'
    assert fixed_side('RandomResize') is None and fixed_side('NoTransform') is None
