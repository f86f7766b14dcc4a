import json
from pathlib import Path
from unittest.mock import Mock

import cv2
import pytest
import torch

from pd_mmdet.workbench.recipes.make import make_recipe
from pd_mmdet.workbench.stages import comparison
from pd_mmdet.workbench.stages.evaluate import build_model
from pd_mmdet.workbench.stages.stage import Stage, plan
from pd_mmdet.workbench.tasks import detection_picture
from tests.helpers.zoo_pairs import PAIRS, tiny, with_masks


def untrained(recipe: Path, work_dir: Path) -> list[Stage]:
    """Stages whose detectors were never trained."""
    stages = plan(recipe, work_dir, ['baseline'])
    for stage in stages:
        stage.folder.mkdir()
        detector = build_model(stage.cfg)
        detector.init_weights()
        torch.save(dict(state_dict=detector.state_dict()), stage.checkpoint)
    return stages


@pytest.fixture
def drawn(monkeypatch) -> Mock:
    """Notes what is drawn into each image."""
    draw = Mock(wraps=detection_picture.draw)
    monkeypatch.setattr(detection_picture, 'draw', draw)
    return draw


def test_the_same_images_side_by_side(recipe, glyphs, tmp_path, drawn):
    """Detectors that were never trained find nothing that is worth drawing."""
    file = tmp_path / 'comparison.png'
    figure = comparison.compare(untrained(recipe, tmp_path))
    figure.savefig(file)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.partition(',')[0] for title in titles] == [
        *('ground truth', 'teacher', 'baseline', 'student')
    ]
    teacher, student = (int(titles[place].rpartition('×')[2]) for place in (1, 3))
    assert teacher == 2 * student

    content = json.loads((glyphs / 'annotations' / 'val.json').read_text())
    shown = sorted({annotation['image_id'] for annotation in content['annotations']})
    height, width = cv2.imread(str(file)).shape[:2]
    side = detection_picture.SIDE
    assert width == 4 * side and height > len(shown) * side

    calls = [call.args for call in drawn.call_args_list]
    assert len(calls) == 4 * len(shown)
    truth, large, *small = (
        calls[column * len(shown) : (column + 1) * len(shown)] for column in range(4)
    )
    for place, image_id in enumerate(shown):
        own = [one for one in content['annotations'] if one['image_id'] == image_id]
        xywh = torch.tensor([one['bbox'] for one in own])
        objects = truth[place][1]
        torch.testing.assert_close(objects.bboxes[:, :2], xywh[:, :2])
        torch.testing.assert_close(objects.bboxes[:, 2:], xywh[:, :2] + xywh[:, 2:])
        file = cv2.imread(str(glyphs / 'val' / f'{image_id:06d}.png'))[..., ::-1]
        read = cv2.resize(file, (teacher, teacher))
        halved = cv2.resize(read, (student, student), interpolation=cv2.INTER_AREA)
        assert (truth[place][0] == file).all() and (large[place][0] == read).all()
        assert all((column[place][0] == halved).all() for column in small)
        assert all(len(column[place][1]) == 0 for column in (large, *small))


def test_masks_of_detectors(glyphs, tmp_path, drawn, monkeypatch):
    """Draw what an untrained Mask R-CNN finds with almost no confidence, with its masks."""
    monkeypatch.setattr(detection_picture, 'MIN_SCORE', 0.0)
    monkeypatch.setattr(detection_picture, 'IMAGES', 1)
    data = with_masks(glyphs)
    config, own, other, slim = PAIRS['mask_rcnn']
    slim = slim | dict(test_cfg=dict(rcnn=dict(max_per_img=3)))
    files = [tmp_path / 'own.py', tmp_path / 'other.py']
    for size, file in zip((own, other), files):
        tiny(config.format(size), slim, data).dump(file)
    make_recipe(*map(str, files), 2, tmp_path / 'recipe')
    comparison.compare(untrained(tmp_path / 'recipe', tmp_path)).savefig(
        tmp_path / 'comparison.png'
    )
    assert len(drawn.call_args_list) == 4
    for call in drawn.call_args_list:
        _, found, shape, *_ = call.args
        assert 0 < len(found) == len(found.masks) and found.masks.shape[1:] == (96, 96) == shape
