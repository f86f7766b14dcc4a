import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from pd_mmdet.recipes.evaluate import costs, measure, view

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(40, 20)),
    dict(type='PackDetInputs'),
]
XML = """<annotation><size><width>80</width><height>40</height></size>{}</annotation>"""
OBJECT = """<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>
<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


@MODELS.register_module()
class Oracle(BaseDetector):
    """One convolution, and detections that are the ground truth of one class."""

    def __init__(self, label: int) -> None:
        super().__init__(dict(type='DetDataPreprocessor', pad_size_divisor=32))
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.label = label

    def extract_feat(self, batch_inputs):
        return self.conv(batch_inputs)

    def _forward(self, batch_inputs, batch_data_samples=None):
        return self.extract_feat(batch_inputs)

    def predict(self, batch_inputs, batch_data_samples):
        for sample in batch_data_samples:
            truth = sample.gt_instances[sample.gt_instances.labels == self.label]
            boxes = truth.bboxes / truth.bboxes.new_tensor(sample.scale_factor * 2)
            sample.pred_instances = InstanceData(
                bboxes=boxes, labels=truth.labels, scores=torch.ones(len(truth))
            )
        return batch_data_samples

    def loss(self, batch_inputs, batch_data_samples):
        raise NotImplementedError


@pytest.fixture(scope='module')
def voc(tmp_path_factory) -> Path:
    """Two photographs of 80x40 in VOC's format: a small cat and a small dog in each, a difficult
    dog in one."""
    root = tmp_path_factory.mktemp('voc')
    for folder in ('Annotations', 'JPEGImages'):
        (root / folder).mkdir()
    for name in ('one', 'two'):
        objects = [OBJECT.format('cat', 0, 11, 11, 31, 31), OBJECT.format('dog', 0, 41, 5, 61, 25)]
        if name == 'two':
            objects.append(OBJECT.format('dog', 1, 5, 5, 9, 9))
        (root / 'Annotations' / f'{name}.xml').write_text(XML.format(''.join(objects)))
        cv2.imwrite(str(root / 'JPEGImages' / f'{name}.jpg'), np.zeros((40, 80, 3), np.uint8))
    (root / 'all.txt').write_text('one\ntwo\n')
    return root


def config(root: Path, label: int = 0, **options) -> Config:
    dataset = dict(
        type='XMLDataset',
        data_root=str(root),
        ann_file='all.txt',
        data_prefix=dict(sub_data_root=''),
        metainfo=dict(classes=('cat', 'dog')),
        test_mode=True,
        pipeline=PIPELINE,
    )
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset,
    )
    cfg = dict(
        default_scope='mmdet',
        model=dict(type='Oracle', label=label),
        val_dataloader=loader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='VOCMetric', metric='mAP'),
    )
    return Config(cfg | options)


@pytest.fixture
def weights(tmp_path) -> Path:
    file = tmp_path / 'stage' / 'epoch_1.pth'
    file.parent.mkdir()
    torch.save(dict(state_dict=Oracle(0).state_dict()), file)
    return file


@pytest.mark.parametrize('label', [0, 1])
def test_coco_metrics_of_voc_data(voc, weights, label):
    """Every cat and no dog is found, or the other way round: the mean over both classes is half.
    The difficult dog is not asked for, and all objects are small."""
    found = measure(config(voc, label), weights, weights.parent / 'test')
    assert found == dict(
        bbox_mAP=0.5,
        bbox_mAP_50=0.5,
        bbox_mAP_75=0.5,
        bbox_mAP_s=0.5,
        bbox_mAP_m=-1.0,
        bbox_mAP_l=-1.0,
    )


def coco(root: Path) -> dict:
    """An evaluator for an annotation file that knows the cats only."""
    box = dict(bbox=[10, 10, 20, 20], area=400, iscrowd=0, category_id=1)
    names = ['one', 'two']
    content = dict(
        images=[dict(id=name, file_name=f'{name}.jpg', width=80, height=40) for name in names],
        annotations=[dict(box, id=i, image_id=name) for i, name in enumerate(names, 1)],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
    )
    (root / 'cats.json').write_text(json.dumps(content))
    return dict(type='CocoMetric', ann_file=str(root / 'cats.json'), classwise=True, prefix='mine')


def test_the_config_s_own_annotations_count(voc, weights):
    evaluators = [dict(type='VOCMetric'), coco(voc)]
    cfg = config(voc, val_evaluator=evaluators)
    found = measure(cfg, weights, weights.parent / 'test')
    assert found['bbox_mAP'] == 1.0 and set(found.values()) == {1.0, -1.0}


def test_nothing_found_is_zero(voc, weights):
    found = measure(config(voc, label=7), weights, weights.parent / 'test')
    assert set(found.values()) == {0.0}


def test_costs_of_one_convolution(voc):
    """The photograph is resized to 40x20 and padded to 64x32."""
    assert costs(config(voc)) == dict(
        parameters=8 * 3 * 3 * 3 + 8, flops=8 * 3 * 3 * 3 * 64 * 32, image_side=[40, 20]
    )


@pytest.mark.parametrize(
    'options, expected',
    [
        (None, 'hr'),
        (dict(views=['lr']), 'lr'),
        (dict(views=('lr',)), 'lr'),
        (dict(views=['hr']), 'hr'),
        (dict(), 'hr'),
    ],
)
def test_view(voc, options, expected):
    cfg = config(voc)
    if options is not None:
        step = dict(type='LowResolution', ratio=2, **options)
        cfg.val_dataloader.dataset.pipeline.insert(-1, step)
    wrapped = dict(type='RepeatDataset', times=1, dataset=cfg.val_dataloader.dataset)
    assert view(cfg) == expected
    cfg.val_dataloader.dataset = wrapped
    assert view(cfg) == expected
