"""Configs for COCO and VOC train a step and predict, on a few images in that format."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset, VOCDataset
from mmdet.registry import DATASETS, METRICS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper

import pd_mmdet  # noqa: F401
from pd_mmdet.workbench.stages.recipe import read_stage
from tests.helpers import ROOT

register_all_modules()
CONFIGS = ROOT / 'configs'
SIDE = (256, 192)
BOXES = [(10, 20, 120, 110), (100, 40, 60, 70), (150, 100, 90, 80)]
# The plain ones, and recipes of each family, data set and ratio; test_configs.py reads all.
FILES = sorted(
    file
    for data, ratio in (('coco', 2), ('voc0712', 4))
    for pattern in (f'*_{data}.py', f'*_{data}_k{ratio}/*.py')
    for file in CONFIGS.glob(f'*/{pattern}')
    if file.parent.name not in ('_base_', 'datasets')
)


def image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (SIDE[1], SIDE[0], 3), dtype=np.uint8)
    cv2.imwrite(str(path), noise)


def make_coco(root: Path) -> None:
    names = CocoDataset.METAINFO['classes']
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        for number in (1, 2):
            image(root / split / f'{number}.jpg', number)
        content = dict(
            images=[
                dict(id=number, file_name=f'{number}.jpg', width=SIDE[0], height=SIDE[1])
                for number in (1, 2)
            ],
            categories=[dict(id=number, name=name) for number, name in enumerate(names)],
            annotations=[
                dict(
                    id=10 * number + index,
                    image_id=number,
                    category_id=index,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                )
                for number in (1, 2)
                for index, box in enumerate(BOXES)
            ],
        )
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def make_voc(root: Path) -> None:
    names = VOCDataset.METAINFO['classes']
    objects = ''.join(
        f'<object><name>{names[index]}</name><difficult>0</difficult><bndbox>'
        f'<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>'
        '</bndbox></object>'
        for index, (x, y, w, h) in enumerate(BOXES)
    )
    size = f'<size><width>{SIDE[0]}</width><height>{SIDE[1]}</height><depth>3</depth></size>'
    for year in (2007, 2012):
        folder = root / f'VOC{year}'
        for name in ('Annotations', 'ImageSets/Main'):
            (folder / name).mkdir(parents=True)
        for number in (1, 2):
            image(folder / 'JPEGImages' / f'{number}.jpg', number)
            xml = f'<annotation>{size}{objects}</annotation>'
            (folder / 'Annotations' / f'{number}.xml').write_text(xml)
        for split in ('trainval', 'test'):
            (folder / 'ImageSets' / 'Main' / f'{split}.txt').write_text('1\n2\n')


@pytest.fixture(scope='module', autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp('data')
    make_coco(root / 'coco')
    make_voc(root / 'voc')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COCO_ROOT', str(root / 'coco'))
        patch.setenv('VOC_ROOT', str(root / 'voc'))
        yield


def resized_to(scale: tuple[int, int], node: Any) -> Any:
    """A config whose images are of another size."""
    if isinstance(node, dict):
        own = dict(scale=scale) if node.get('type') == 'Resize' else {}
        return {key: resized_to(scale, value) for key, value in node.items()} | own
    if isinstance(node, (list, tuple)):
        return type(node)(resized_to(scale, value) for value in node)
    return node


def items(loader: dict, number: int) -> dict:
    scale = (128, 96)
    dataset = DATASETS.build(resized_to(scale, loader['dataset']))
    return pseudo_collate([dataset[index] for index in range(number)])


@pytest.mark.parametrize('file', FILES, ids=lambda file: f'{file.parent.name}/{file.stem}')
def test_it_trains_a_step_and_predicts(file: Path):
    torch.manual_seed(0)
    cfg = Config.fromfile(file)
    model = MODELS.build(cfg.model)
    if cfg.get('train_cfg'):
        optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        log = model.train_step(items(cfg.train_dataloader, 2), optim_wrapper)
        assert log['loss'].isfinite()
        terms = getattr(model, 'distill', {})
        assert all(log[f'distill_{name}_loss'] > 0 for name in terms)
    with torch.no_grad():
        (found,) = model.eval().test_step(items(cfg.val_dataloader, 1))
    assert found.pred_instances.bboxes.shape[1] == 4


@pytest.mark.parametrize('stage', ['ceiling', 'baseline', 'assistant'])
def test_finding_what_is_annotated_in_voc_is_perfect(stage: str):
    cfg = read_stage(CONFIGS / 'faster_rcnn' / 'faster-rcnn_r50-r18_fpn_1x_voc0712_k4', stage)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = dataset.metainfo
    truth = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in BOXES], dtype=torch.float)
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        # On the image that the detector sees, and back to the pixels of the file as heads do it.
        height, width = sample.img_shape
        seen = truth * torch.tensor([width / SIDE[0], height / SIDE[1]] * 2)
        bboxes = seen / torch.tensor(sample.scale_factor).repeat(2)
        found = dict(bboxes=bboxes, scores=torch.ones(len(BOXES)), labels=torch.arange(len(BOXES)))
        metric.process({}, [sample.to_dict() | dict(pred_instances=found)])
    assert metric.evaluate(len(dataset))['pascal_voc/mAP'] == 1
