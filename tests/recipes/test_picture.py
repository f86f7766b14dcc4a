import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from pd_mmdet.recipes import picture
from pd_mmdet.recipes.evaluate import build_detector
from pd_mmdet.recipes.stages import plan


@pytest.fixture
def stages(recipe, tmp_path):
    """Stages whose detectors were never trained, and find nothing that is worth drawing."""
    stages = plan(recipe, tmp_path, ['baseline'])
    for stage in stages:
        stage.folder.mkdir()
        torch.save(dict(state_dict=build_detector(stage.cfg).state_dict()), stage.checkpoint)
    return stages


def test_the_same_images_side_by_side(stages, tmp_path):
    file = tmp_path / 'comparison.png'
    picture.compare(stages, file)
    image = cv2.imread(str(file))
    dataset, indices = picture.first_with_objects(stages[0].cfg)
    assert image.shape == (len(indices) * picture.SIDE, 4 * picture.SIDE, 3)
    truth, *detections = np.split(image[100:], 4, axis=1)
    # Boxes in the first column only; the photographs are the same.
    assert (truth != detections[0]).any(-1).mean() > 0.01
    for other in detections[1:]:
        assert (other != detections[0]).any(-1).mean() < 0.01


def test_images_with_objects(stages):
    dataset, indices = picture.first_with_objects(stages[0].cfg)
    counts = [len(dataset.get_data_info(i)['instances']) for i in range(len(dataset))]
    assert indices == [i for i, count in enumerate(counts) if count][:4] and indices


def test_boxes_are_drawn_where_they_are():
    image = np.zeros((50, 100, 3), np.uint8)
    box = torch.tensor([[20.0, 10.0, 60.0, 40.0]])
    found = InstanceData(bboxes=box, labels=torch.zeros(1, dtype=torch.long))
    metainfo = dict(classes=('a',), palette=[(255, 0, 0)])
    drawn = picture.draw(image, found, metainfo)
    scale = picture.SIDE / 100
    assert drawn.shape == (50 * scale, 100 * scale, 3)
    red = (drawn[..., 0] > 150) & (drawn[..., 1] < 60)
    rows, columns = np.nonzero(red)
    assert columns.min() == pytest.approx(20 * scale, abs=3)
    assert columns.max() == pytest.approx(60 * scale, abs=3)
    assert rows.max() == pytest.approx(40 * scale, abs=3)
