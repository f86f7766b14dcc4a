"""The trial of a teacher, against MMDetection's metric on the annotations' file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.models import DetDataPreprocessor
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader

from pd_mmdet.distillers.detector_trial import try_detector

register_all_modules()
CLASSES = ('letter', 'digit')
DIGITS = ('1', '7')


class Finder(BaseModel):
    """Finds three of four objects, not exactly, and something else; may swap the two classes."""

    def __init__(self, swaps: bool, finds: bool = True) -> None:
        super().__init__(DetDataPreprocessor())
        self.swaps, self.finds = swaps, finds

    def forward(self, inputs, data_samples, mode):
        (sample,) = data_samples
        random = np.random.default_rng(sample.img_id)
        truth = [one for index, one in enumerate(sample.instances) if index % 4]
        boxes = [one['bbox'] + random.uniform(-2.5, 2.5, 4) for one in truth]
        labels = [one['bbox_label'] ^ self.swaps for one in truth]
        found = InstanceData(
            bboxes=torch.tensor(np.array([*boxes, [0, 0, 20, 20]]), dtype=torch.float32),
            scores=torch.tensor(random.uniform(size=len(truth) + 1)),
            labels=torch.tensor([*labels, 0]),
        )
        sample.pred_instances = found if self.finds else found[:0]
        return data_samples


@pytest.fixture
def annotations(glyphs: Path, tmp_path: Path) -> Path:
    """Glyphs' validation set with two classes."""
    content = json.loads((glyphs / 'annotations' / 'val.json').read_text())
    digits = {one['id'] for one in content['categories'] if one['name'] in DIGITS}
    for one in content['annotations']:
        one['category_id'] = int(one['category_id'] in digits)
    content['categories'] = [dict(id=label, name=name) for label, name in enumerate(CLASSES)]
    (tmp_path / 'val.json').write_text(json.dumps(content))
    return tmp_path / 'val.json'


def images(annotations: Path, glyphs: Path) -> DataLoader:
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=str(annotations),
            data_prefix=dict(img=str(glyphs / 'val')),
            metainfo=dict(classes=CLASSES),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
                dict(
                    type='PackDetInputs',
                    meta_keys=('img_id', 'img_shape', 'ori_shape', 'instances'),
                ),
            ],
        )
    )
    return DataLoader(dataset, batch_size=1, collate_fn=pseudo_collate)


def coco(model: BaseModel, loader: DataLoader, annotations: Path, classes: tuple) -> list[str]:
    """AP and AP50 in percent; of one class, all labels are 0."""
    metric = CocoMetric(ann_file=str(annotations))
    metric.dataset_meta = dict(classes=classes)
    for data in loader:
        (sample,) = model.test_step(data)
        if len(classes) == 1:
            sample.pred_instances.labels[:] = 0
        metric.process(data, [sample.to_dict()])
    found = metric.evaluate(len(loader))
    return [f'{100 * found[f"coco/bbox_{name}"]:.1f}' for name in ('mAP', 'mAP_50')]


@pytest.mark.parametrize('swaps', [False, True])
def test_numbers_and_suspicion(annotations, glyphs, tmp_path, swaps):
    content = json.loads(annotations.read_text())
    content['categories'] = [dict(id=0, name='glyph')]
    for one in content['annotations']:
        one['category_id'] = 0
    merged = tmp_path / 'merged.json'
    merged.write_text(json.dumps(content))

    model, loader = Finder(swaps), images(annotations, glyphs)
    trial = try_detector(model, loader)
    ap, ap50 = coco(model, loader, annotations, CLASSES)
    _, boxes50 = coco(model, images(annotations, glyphs), merged, ('glyph',))
    assert trial.text == f'AP {ap}, AP50 {ap50} ({boxes50} whatever the class)'
    assert trial.score == pytest.approx(float(ap50) / 100, abs=1e-3)
    assert 30 < float(boxes50) < 90
    assert trial.confused == swaps
    assert not swaps or float(ap50) < 10


def test_a_detector_that_finds_nothing_is_not_confused(annotations, glyphs):
    trial = try_detector(Finder(swaps=True, finds=False), images(annotations, glyphs))
    assert trial == ('AP 0.0, AP50 0.0 (0.0 whatever the class)', 0.0, False)
