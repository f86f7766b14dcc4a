import pickle
from fractions import Fraction

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dataset import pseudo_collate

from pd_mmdet.afp.pixels import to_small
from pd_mmdet.afp.preprocessor import large_divisor
from pd_mmdet.data_preprocessor import PairedDetDataPreprocessor
from pd_mmdet.transforms import LowResolution, PackPairedDetInputs
from pd_mmdet.transforms.masks import MasksOfBothViews

HEIGHT, WIDTH = 61, 90


def results(number=5):
    bits = np.random.RandomState(number).randint(0, 2, (number, HEIGHT, WIDTH), dtype=np.uint8)
    return dict(
        img=np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8),
        gt_bboxes=HorizontalBoxes(np.zeros((number, 4), dtype=np.float32)),
        gt_bboxes_labels=np.arange(number),
        gt_ignore_flags=np.arange(number) == 1,
        gt_masks=BitmapMasks(bits, HEIGHT, WIDTH),
    )


def sample_of(results, ratio):
    """Return an item's sample as training reads it: after the loader's process and padding."""
    item = PackPairedDetInputs(meta_keys=('img_shape',))(LowResolution(ratio, ['hr'])(results))
    batch = pseudo_collate([pickle.loads(pickle.dumps(item))])
    divisor = large_divisor(32, Fraction(ratio))
    preprocessor = dict(type='DetDataPreprocessor', pad_mask=True, pad_size_divisor=divisor)
    paired = PairedDetDataPreprocessor(preprocessor, ratio, preprocessor, student_view='hr')
    return paired(batch, training=True)['data_samples'][0]


@pytest.mark.parametrize('ratio', ['5/4', '3/2', 2, 3, 4])
@pytest.mark.parametrize('number', [0, 5])
def test_an_assistant_reads_small_masks_that_are_made_with_the_item(ratio, number, monkeypatch):
    sample = sample_of(results(number), ratio)
    k, masks = Fraction(ratio), sample.gt_instances.masks
    expected = BitmapMasks(masks.masks, masks.height, masks.width).resize(
        tuple(round(side / k) for side in masks.masks.shape[1:]), interpolation='area'
    )
    assert len(expected) == max(0, number - 1) and expected.masks.any() == bool(number)

    monkeypatch.setattr('mmcv.imresize', None)  # nothing is resized any more
    small = to_small(sample, k).gt_instances.masks
    assert (small.height, small.width) == (expected.height, expected.width)
    np.testing.assert_array_equal(small.masks, expected.masks)


def test_other_changes_leave_plain_masks():
    masks = LowResolution(2, ['hr'])(results())['gt_masks']
    assert isinstance(masks, MasksOfBothViews) and masks.masks.shape == (5, 62, 90)
    for plain in (masks.pad((63, 90)), masks.flip(), masks.resize((31, 45))):
        assert type(plain) is BitmapMasks
    np.testing.assert_array_equal(masks.resize((31, 45)).masks, masks.masks[:, ::2, ::2])
    padded = masks.pad((64, 96), 1)
    assert padded.masks[:, 62:].all() and padded.small.masks[:, 31:].all()
    assert (padded.small.height, padded.small.width) == (32, 48)


def test_the_small_view_alone_and_polygons_are_as_ever():
    small = LowResolution(2, ['lr'])(results())['gt_masks']
    assert type(small) is BitmapMasks and (small.height, small.width) == (31, 45)
    polygons = PolygonMasks([[np.array([0.0, 0, 9, 0, 9, 9])]], HEIGHT, WIDTH)
    large = LowResolution(2, ['hr'])(results(1) | dict(gt_masks=polygons))['gt_masks']
    assert type(large) is PolygonMasks
