import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from pd_mmdet.tasks import detection_picture


def test_boxes_are_drawn_where_they_are():
    image = np.zeros((50, 100, 3), np.uint8)
    box = torch.tensor([[20.0, 10.0, 60.0, 40.0]])
    found = InstanceData(bboxes=box, labels=torch.zeros(1, dtype=torch.long))
    metainfo = dict(classes=('a',), palette=[(255, 0, 0)])
    drawn = detection_picture.draw(image, found, metainfo)
    scale = detection_picture.SIDE / 100
    assert drawn.shape == (50 * scale, 100 * scale, 3)
    red = (drawn[..., 0] > 150) & (drawn[..., 1] < 60)
    rows, columns = np.nonzero(red)
    assert columns.min() == pytest.approx(20 * scale, abs=3)
    assert columns.max() == pytest.approx(60 * scale, abs=3)
    assert rows.max() == pytest.approx(40 * scale, abs=3)


def test_the_surest_detection_is_drawn_last():
    found = InstanceData(scores=torch.tensor([0.9, 0.2, 0.4]), labels=torch.tensor([1, 2, 3]))
    assert detection_picture.confident(found).labels.tolist() == [3, 1]
