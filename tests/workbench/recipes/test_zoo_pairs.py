"""Recipes of pairs of MMDetection's zoo, trained by MMDetection's own tool.

The pairs keep what makes them what they are (wrappers of datasets, several pipelines, hooks); their
networks are slim, their images small, and their data are glyphs.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate

from pd_mmdet.testing.zoo.chain import run_python
from pd_mmdet.workbench.recipes.make import make_recipe
from pd_mmdet.workbench.stages.recipe import read_stage
from tests.helpers.zoo_pairs import PAIRS, tiny, with_masks

STOCK_TOOL = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'


@pytest.fixture(scope='module')
def data(glyphs: Path) -> Path:
    return with_masks(glyphs)


def train(stage: str, recipe: Path, work_dir: Path) -> dict:
    """Train a stage by MMDetection's tool; the last line of its log."""
    run_python([STOCK_TOOL, recipe / f'{stage}.py', '--work-dir', work_dir / stage])
    (log,) = (work_dir / stage).glob('*/vis_data/scalars.json')
    return json.loads(log.read_text().splitlines()[-1])


@pytest.mark.parametrize('name', ['yolox', 'multi_scale'])  # others: tests/zoo/test_chain_…
def test_stock_tool_trains_it(name, data, tmp_path, monkeypatch):
    register_all_modules()
    config, own, other, slim = PAIRS[name]
    for side, size in dict(own=own, other=other).items():
        tiny(config.format(size), slim, data).dump(tmp_path / f'{side}.py')
    recipe = tmp_path / name
    make_recipe(str(tmp_path / 'own.py'), str(tmp_path / 'other.py'), 2, recipe, cells=1)

    teacher = tmp_path / 'teacher.pth'
    model = MODELS.build(Config.fromfile(tmp_path / 'other.py').model)
    torch.save(dict(state_dict=model.state_dict()), teacher)
    monkeypatch.setenv('TEACHER_CHECKPOINT', str(teacher))
    assistant = tmp_path / 'assistant' / 'epoch_2.pth'
    monkeypatch.setenv('ASSISTANT_CHECKPOINT', str(assistant))

    log = train('assistant', recipe, tmp_path)
    assert log['epoch'] == 2 and log['distill_pkd_loss'] > 0
    assert assistant.exists()

    log = train('student', recipe, tmp_path)
    terms = Config.fromfile(recipe / 'student.py').model.terms
    assert log['epoch'] == 2 and log['distill_isrd_loss'] > 0
    assert all(torch.tensor(log[f'distill_{term}_loss']).isfinite() for term in terms)


@pytest.mark.parametrize('ratio', ['2', '3/2'])
def test_boxes_come_back_from_a_padding_on_all_sides(ratio, data, tmp_path):
    """CenterNet's images keep their size, and are padded around to the next multiple of 32."""
    register_all_modules()
    name, size, _, slim = PAIRS['centernet']
    tiny(name.format(size), slim, data).dump(tmp_path / 'own.py')
    make_recipe(*2 * [str(tmp_path / 'own.py')], ratio, tmp_path / 'recipe')
    cv2.imwrite(str(tmp_path / 'image.png'), np.zeros((70, 91, 3), np.uint8))
    image = dict(img_path=str(tmp_path / 'image.png'), img_id=0, instances=[])
    box = torch.tensor([20.0, 10, 50, 40])
    padded = box + torch.tensor([3, 13, 3, 13])  # (96 - 91 + 1) / 2 and (96 - 70) / 2
    for stage, scale in dict(ceiling=1, assistant=ratio, student=ratio, baseline=ratio).items():
        cfg = read_stage(tmp_path / 'recipe', stage)
        item = Compose(cfg.val_dataloader.dataset.pipeline)(dict(image))
        model = MODELS.build(cfg.model).eval()
        x1, y1, x2, y2 = (padded / float(Fraction(scale)) / 4).tolist()  # in cells of stride 4
        maps = found_at((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        model.bbox_head.forward = lambda feats, maps=maps: tuple(
            [one[..., : feats[0].shape[2], : feats[0].shape[3]]] for one in maps
        )
        (sample,) = model.test_step(pseudo_collate([item]))
        found = sample.pred_instances
        assert found.scores[0] == 1 and found.scores[1] == 0
        torch.testing.assert_close(found.bboxes[0], box, rtol=0, atol=1e-3, msg=stage)


def found_at(x: float, y: float, width: float, height: float) -> list[torch.Tensor]:
    """Make a head's output, in cells: one centre, sizes, and the rest to the centre."""
    heat = torch.zeros(1, 10, 32, 32)
    heat[0, 3, int(y), int(x)] = 1
    sizes, offsets = torch.zeros(2, 1, 2, 32, 32)
    sizes[0, :, int(y), int(x)] = torch.tensor([width, height])
    offsets[0, :, int(y), int(x)] = torch.tensor([x - int(x), y - int(y)])
    return [heat, sizes, offsets]
