import json
from unittest.mock import Mock

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
        detector = build_detector(stage.cfg)
        detector.init_weights()
        torch.save(dict(state_dict=detector.state_dict()), stage.checkpoint)
    return stages


def test_the_same_images_side_by_side(stages, glyphs, tmp_path, monkeypatch):
    grid = Mock(wraps=picture.grid)
    monkeypatch.setattr(picture, 'grid', grid)
    file = tmp_path / 'comparison.png'
    picture.compare(stages, file)
    images, columns, _ = grid.call_args.args
    height, width = cv2.imread(str(file)).shape[:2]
    assert width == 4 * picture.SIDE and height > len(images) * picture.SIDE

    assert [title.partition(',')[0] for title in columns] == [
        *('ground truth', 'teacher', 'baseline', 'student')
    ]
    teacher, student = (int(list(columns)[i].rpartition('x')[2]) for i in (1, 3))
    assert teacher == 2 * student

    truth, *found = columns.values()
    assert all(len(boxes) == 0 for column in found for boxes in column)
    content = json.loads((glyphs / 'annotations' / 'val.json').read_text())
    shown = {annotation['image_id'] for annotation in content['annotations']}
    assert len(images) == len(truth) == len(shown)
    for image_id, image, objects in zip(sorted(shown), images, truth):
        own = [one for one in content['annotations'] if one['image_id'] == image_id]
        xywh = torch.tensor([one['bbox'] for one in own])
        torch.testing.assert_close(objects.bboxes[:, :2], xywh[:, :2])
        torch.testing.assert_close(objects.bboxes[:, 2:], xywh[:, :2] + xywh[:, 2:])
        pixels = cv2.imread(str(glyphs / 'val' / f'{image_id:06d}.png'))
        assert (image[..., ::-1] == pixels).all()


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


def test_the_surest_detection_is_drawn_last():
    found = InstanceData(scores=torch.tensor([0.9, 0.2, 0.4]), labels=torch.tensor([1, 2, 3]))
    assert picture.confident(found).labels.tolist() == [3, 1]
