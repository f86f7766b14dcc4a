from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip('mmpretrain')

from mmpretrain.datasets import transforms as stock  # noqa: E402

from pd_mmdet.transforms import LowResolution, PackPairedDetInputs, check_fixed_size  # noqa: E402

SIDES = (225, 240)  # at 2 and 4 the first does not do, at 3/2 both do


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('RandomResizedCrop', dict(scale=225)),
        ('RandomResizedCrop', dict(scale=SIDES)),
        ('RandomCrop', dict(crop_size=225, padding=4)),
        ('CenterCrop', dict(crop_size=SIDES)),
        ('EfficientNetRandomCrop', dict(scale=225)),
        ('EfficientNetCenterCrop', dict(crop_size=240)),
        ('Resize', dict(scale=225)),
        ('Resize', dict(scale=SIDES, keep_ratio=False)),
    ],
)
@pytest.mark.parametrize('ratio', ['3/2', 2, '7/4'])
def test_what_low_resolution_would_pad_is_refused(name, options, ratio):
    transform, low = getattr(stock, name)(**options), LowResolution(ratio)
    results = transform(dict(img=np.zeros((300, 400, 3), dtype=np.uint8)))
    before = results['img'].shape
    padded = low(results)['hr']['img'].shape != before
    for pipeline in ([transform, low], [dict(type=name, **options)], [dict(options, type=name)]):
        if not padded:
            check_fixed_size(pipeline, ratio)
            continue
        p = Fraction(ratio).numerator
        match = rf'{name}\(.*2[24].*\): at ratio {ratio} .* must be multiples of {p}; the nearest'
        with pytest.raises(ValueError, match=match):
            check_fixed_size(pipeline, ratio)


def test_the_nearest_sizes_are_named():
    with pytest.raises(ValueError, match=r'\(scale=224\).* nearest are scale=222 and 225$'):
        check_fixed_size([dict(type='RandomResizedCrop', scale=224)], 3)
    with pytest.raises(ValueError, match=r'size=\(224, 240\) and \(228, 240\)$'):
        check_fixed_size([dict(type='mmpretrain.RandomCrop', crop_size=SIDES)], 4)


@pytest.mark.parametrize(
    'pipeline',
    [
        [stock.ResizeEdge(scale=225)],
        [stock.RandomCrop(crop_size=225), stock.ResizeEdge(scale=225)],
        [stock.RandomCrop(crop_size=225), stock.CenterCrop(crop_size=224), stock.RandomFlip(0.5)],
        [dict(type='Resize', scale=(225, 225), keep_ratio=True)],
        [dict(type='Resize', scale_factor=0.5)],
        [stock.Resize(scale=(225, 225), keep_ratio=True)],
        [dict(type='Pad', size_divisor=15)],
        [dict(type='RandomCrop', crop_size=(0.3, 0.5), crop_type='relative')],
        [LowResolution(2), stock.CenterCrop(crop_size=225), PackPairedDetInputs()],
        [],
    ],
)
def test_what_fixes_no_size_or_not_the_last_passes(pipeline):
    check_fixed_size(pipeline, 2)


def test_both_the_small_and_the_enlarged_image_need_whole_sides():
    pipeline = [dict(type='CenterCrop', crop_size=224)]
    check_fixed_size(pipeline, 4)
    check_fixed_size(pipeline, 4, 2)
    match = r'at ratio 4 and enlarge 8/3 .* multiples of 12; the nearest are crop_size=216 and 228$'
    with pytest.raises(ValueError, match=match):
        check_fixed_size(pipeline, 4, '8/3')
