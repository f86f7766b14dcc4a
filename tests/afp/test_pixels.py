from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData

from pd_mmdet.afp.pixels import to_small, with_predictions
from pd_mmdet.testing.noise import Annotations, data_samples


def sample(**fields) -> DetDataSample:
    sample = DetDataSample(
        metainfo=dict(
            img_id=7,
            ori_shape=(200, 300),
            img_shape=(40, 60),
            pad_shape=(64, 64),
            batch_input_shape=(64, 64),
            scale_factor=(0.2, 0.2),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[4.0, 8, 20, 30], [0, 0, 60, 40]]), labels=torch.tensor([1, 2])
    )
    for name, value in fields.items():
        sample.gt_instances.set_field(value, name)
    return sample


def test_everything_in_pixels_is_divided_by_hand():
    small = to_small(sample(), Fraction(2))
    assert small.img_shape == (20, 30)
    assert small.pad_shape == small.batch_input_shape == (32, 32)
    assert small.scale_factor == (0.1, 0.1)
    assert (small.ori_shape, small.img_id) == ((200, 300), 7)
    assert small.gt_instances.bboxes.tolist() == [[2, 4, 10, 15], [0, 0, 30, 20]]
    assert small.gt_instances.labels.tolist() == [1, 2]


def test_shapes_that_the_ratio_does_not_divide_stay_exact():
    given = sample()
    given.set_metainfo(dict(img_shape=(41, 60)))
    assert to_small(given, Fraction(2)).img_shape == (20.5, 30)


def test_boxes_of_mmdetections_own_type():
    boxes = HorizontalBoxes(torch.tensor([[4.0, 8, 20, 30], [0, 0, 60, 40]]))
    small = to_small(sample(bboxes=boxes), Fraction(2)).gt_instances.bboxes
    assert isinstance(small, HorizontalBoxes)
    assert small.tensor.tolist() == [[2, 4, 10, 15], [0, 0, 30, 20]]
    assert boxes.tensor[0].tolist() == [4, 8, 20, 30]


def test_ignored_boxes_proposals_and_the_border():
    given = sample()
    given.ignored_instances = InstanceData(bboxes=torch.tensor([[2.0, 2, 4, 4]]))
    given.proposals = InstanceData(bboxes=torch.tensor([[6.0, 6, 8, 8]]), scores=torch.ones(1))
    given.set_metainfo(dict(border=np.array([2, 62, 4, 34])))
    small = to_small(given, Fraction(2))
    assert small.ignored_instances.bboxes.tolist() == [[1, 1, 2, 2]]
    assert small.proposals.bboxes.tolist() == [[3, 3, 4, 4]]
    assert small.proposals.scores.tolist() == [1]
    assert small.border == (1, 31, 2, 17)


def test_masks_by_the_majority_of_pixels():
    mask = np.zeros((2, 4, 4), np.uint8)
    mask[0, :2, :2] = [[1, 1], [1, 0]]
    mask[0, 2:, 2:] = [[0, 0], [1, 0]]
    small = to_small(sample(masks=BitmapMasks(mask, 4, 4)), Fraction(2)).gt_instances.masks
    assert small.masks.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]]]
    polygon = PolygonMasks([[np.array([0.0, 0, 4, 0, 4, 2])]] * 2, 4, 4)
    small = to_small(sample(masks=polygon), Fraction(2)).gt_instances.masks
    assert (small.height, small.width) == (2, 2)
    assert small.masks[0][0].tolist() == [0, 0, 2, 0, 2, 1]


def test_semantic_maps_keep_their_labels():
    given = sample()
    given.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[3, 3, 255, 255], [3, 3, 255, 255]]]))
    small = to_small(given, Fraction(2)).gt_sem_seg.sem_seg
    assert small.tolist() == [[[3, 255]]]
    assert small.dtype == torch.int64


@pytest.mark.parametrize('ratio', ['3/2', '2', '4'])
@pytest.mark.parametrize('masks', ['bitmap', 'polygon'])
def test_what_was_made_large_comes_back(ratio, masks):
    """All of an image's annotations, against the same ones made small in the first place."""
    annotations = Annotations(5, masks, sem_seg=True, proposals=True, pairwise=True)
    shapes, ratio = [(64, 96)], Fraction(ratio)
    (large,) = data_samples(shapes, shapes[0], ratio, annotations)
    (expected,) = data_samples(shapes, shapes[0], Fraction(1), annotations)
    before = deepcopy(large)
    small = to_small(large, ratio)
    assert set(small.keys()) == set(expected.keys())
    assert small.img_shape == expected.img_shape and small.border == expected.border
    for key in ('gt_instances', 'ignored_instances', 'proposals'):
        torch.testing.assert_close(small.get(key).bboxes, expected.get(key).bboxes)
    same_pixels = torch.equal(
        small.gt_instances.masks.to_tensor(torch.uint8, 'cpu'),
        expected.gt_instances.masks.to_tensor(torch.uint8, 'cpu'),
    )
    assert same_pixels or masks == 'polygon'  # whose rounding may differ in the last bit
    assert torch.equal(small.gt_sem_seg.sem_seg, expected.gt_sem_seg.sem_seg)
    assert torch.equal(small.gt_instances.pairwise_masks, expected.gt_instances.pairwise_masks)
    assert torch.equal(large.gt_instances.bboxes, before.gt_instances.bboxes)
    assert large.metainfo == before.metainfo


def test_unknown_maps_are_refused_by_name():
    with pytest.raises(NotImplementedError, match=r"field 'depth' .*\(2, 4, 4\)"):
        to_small(sample(depth=torch.zeros(2, 4, 4)), Fraction(2))


def found_small(n: int = 1) -> DetDataSample:
    found = DetDataSample()
    found.pred_instances = InstanceData(
        bboxes=torch.tensor([[2.0, 4, 10, 15]] * n).reshape(n, 4),
        scores=torch.ones(n),
        masks=torch.tensor([[[True, False], [False, False]]] * n).reshape(n, 2, 2),
    )
    return found


def test_predictions_are_brought_to_the_large_image():
    given = sample()
    out = with_predictions(given, found_small(), Fraction(2))
    assert out is given and out.img_shape == (40, 60)
    assert out.pred_instances.bboxes.tolist() == [[4, 8, 20, 30]]
    assert out.pred_instances.scores.tolist() == [1]
    assert out.pred_instances.masks.dtype == torch.bool
    assert out.pred_instances.masks[0].int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert out.gt_instances.bboxes[0].tolist() == [4, 8, 20, 30]


def test_predictions_in_pixels_of_the_file_stay():
    out = with_predictions(sample(), found_small(), 1)
    assert out.pred_instances.bboxes.tolist() == [[2, 4, 10, 15]]
    assert out.pred_instances.masks.shape == (1, 2, 2)


def test_no_predictions_and_panoptic_ones():
    found = found_small(0)
    found.pred_panoptic_seg = PixelData(sem_seg=torch.tensor([[[1, 2]]]))
    out = with_predictions(sample(), found, Fraction(2))
    assert out.pred_instances.bboxes.shape == (0, 4)
    assert out.pred_instances.masks.shape == (0, 4, 4)
    assert out.pred_panoptic_seg.sem_seg.tolist() == [[[1, 1, 2, 2]] * 2]
