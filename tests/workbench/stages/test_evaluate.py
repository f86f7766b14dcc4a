import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import nn

from pd_mmdet.workbench.stages.evaluate import costs, measure, view

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
    """All objects are small, and none is found."""
    found = measure(config(voc, label=7), weights, weights.parent / 'test')
    assert found == dict.fromkeys(found, 0.0) | dict(bbox_mAP_m=-1.0, bbox_mAP_l=-1.0)


@pytest.mark.parametrize('label, ap50', [(0, 0.5), (7, 0.0)])
def test_what_the_config_s_metric_leaves_out_is_none(voc, weights, label, ap50):
    """Also where nothing is found at all, which is what zero stands for."""
    evaluator = dict(type='CocoMetric', metric_items=['mAP_50', 'mAP_l'])
    cfg = config(voc, label, val_evaluator=evaluator)
    found = measure(cfg, weights, weights.parent / 'test')
    assert found == dict.fromkeys(found) | dict(bbox_mAP_50=ap50, bbox_mAP_l=-1.0)
    assert len(found) == 6


BOTH = dict(cats=[(0, 400), (1, 400)], all=[(0, 400), (0, 5000), (1, 400)])
"""Two validation sets: in each image the labels and annotated areas of its objects."""


@pytest.fixture(scope='module')
def two_sets(voc) -> list[dict]:
    """Two sets in COCO's format on the same photographs, with the same identifiers of images."""
    datasets = []
    for name, objects in BOTH.items():
        shown = [one for one in objects if one[0] == 0] if name == 'cats' else objects
        content = dict(
            images=[
                dict(id=index, file_name=f'{file}.jpg', width=80, height=40)
                for index, file in enumerate(('one', 'two'))
            ],
            annotations=[
                dict(
                    id=1 + 10 * image + place,
                    image_id=image,
                    category_id=label + 1,
                    bbox=[10 + 25 * place, 10, 20, 20],
                    area=area,
                    iscrowd=0,
                )
                for image in range(2)
                for place, (label, area) in enumerate(shown)
            ],
            categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
        )
        (voc / f'{name}.json').write_text(json.dumps(content))
        datasets.append(
            dict(
                type='CocoDataset',
                data_root=str(voc),
                ann_file=f'{name}.json',
                data_prefix=dict(img='JPEGImages'),
                metainfo=dict(classes=('cat', 'dog')),
                test_mode=True,
                pipeline=PIPELINE,
            )
        )
    return datasets


def of_each(datasets: list[dict]) -> dict:
    """MMDetection's evaluator of several sets."""
    files = [str(Path(one['data_root'], one['ann_file'])) for one in datasets]
    metrics = [dict(type='CocoMetric', ann_file=file) for file in files]
    return dict(type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=[*BOTH])


def two_set_config(voc: Path, datasets: list[dict], evaluator: dict | list) -> Config:
    cfg = config(voc, val_evaluator=evaluator)
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=datasets)
    return cfg


@pytest.fixture(scope='module')
def mmdetection_says(voc, two_sets, tmp_path_factory) -> dict[str, float]:
    """Return what MMDetection measures on both sets, by our keys."""
    cfg = two_set_config(voc, two_sets, of_each(two_sets))
    cfg.merge_from_dict(
        dict(
            work_dir=str(tmp_path_factory.mktemp('stock')),
            test_dataloader=cfg.val_dataloader,
            test_evaluator=cfg.val_evaluator,
            test_cfg=dict(type='TestLoop'),
        )
    )
    found = Runner.from_cfg(cfg).test()
    return {key.replace('/coco', ''): value for key, value in found.items()}


@pytest.mark.parametrize(
    'evaluator',
    ['one metric a set', 'the first file', 'both files', 'VOC'],
)
def test_each_of_two_sets_as_mmdetection_measures_it(
    evaluator, voc, two_sets, mmdetection_says, weights
):
    """Cats are found, one of two that are annotated as one is large. Only the first evaluator
    works in MMDetection."""
    metrics = of_each(two_sets)['metrics']
    given = {
        'one metric a set': of_each(two_sets),
        'the first file': metrics[0],
        'both files': metrics,
        'VOC': dict(type='VOCMetric'),
    }[evaluator]
    cfg = two_set_config(voc, two_sets, given)
    found = measure(cfg, weights, weights.parent / 'test')
    assert found.keys() == mmdetection_says.keys()
    sizes = ('_s', '_m', '_l') if evaluator == 'VOC' else ()  # of boxes, not as annotated
    for key, value in mmdetection_says.items():
        assert found[key] == value or key.endswith(sizes)
    assert found['cats/bbox_mAP'] == 1.0 and found['all/bbox_mAP'] == 0.5


def test_repeated_images_are_judged_once(voc, two_sets, weights):
    """All cats are found. In an image that comes twice they would be false alarms besides."""
    cfg = config(voc, val_evaluator=of_each(two_sets)['metrics'][0])
    cfg.val_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=two_sets[0])
    assert measure(cfg, weights, weights.parent / 'test')['bbox_mAP'] == 1.0


def test_costs_and_view_are_those_of_the_first_set(voc, two_sets):
    small = dict(type='LowResolution', ratio=2, views=['lr'])
    datasets = [
        dict(two_sets[0], pipeline=[*PIPELINE[:-1], small, PIPELINE[-1]]),
        two_sets[1],
    ]
    cfg = two_set_config(voc, datasets, of_each(datasets))
    assert costs(cfg)['image_side'] == [20, 10] and view(cfg) == 'lr'


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
