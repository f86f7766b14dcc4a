import json
from unittest.mock import Mock

import cv2
import pytest
import torch

from pd_mmdet.recipes import picture
from pd_mmdet.recipes.evaluate import build_model
from pd_mmdet.recipes.stages import plan
from pd_mmdet.tasks import detection_picture


@pytest.fixture
def stages(recipe, tmp_path):
    """Stages whose detectors were never trained, and find nothing that is worth drawing."""
    stages = plan(recipe, tmp_path, ['baseline'])
    for stage in stages:
        stage.folder.mkdir()
        detector = build_model(stage.cfg)
        detector.init_weights()
        torch.save(dict(state_dict=detector.state_dict()), stage.checkpoint)
    return stages


def test_the_same_images_side_by_side(stages, glyphs, tmp_path, monkeypatch):
    grid = Mock(wraps=detection_picture.grid)
    monkeypatch.setattr(detection_picture, 'grid', grid)
    file = tmp_path / 'comparison.png'
    picture.compare(stages, file)
    images, columns, _ = grid.call_args.args
    height, width = cv2.imread(str(file)).shape[:2]
    assert width == 4 * detection_picture.SIDE and height > len(images) * detection_picture.SIDE

    assert [title.partition(',')[0] for title in columns] == [
        *('ground truth', 'teacher', 'baseline', 'student')
    ]
    teacher, student = (int(list(columns)[i].rpartition('×')[2]) for i in (1, 3))
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
