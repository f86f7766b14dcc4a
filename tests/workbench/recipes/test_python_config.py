"""Recipes of configs in pure Python, as MMDetection's newer ones are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import Runner

from pd_mmdet.workbench.recipes.make import make_recipe
from pd_mmdet.workbench.recipes.python_config import with_names

BASE = """
from mmcv.ops import RoIAlign, nms
from mmdet.models import (FPN, CrossEntropyLoss, DetDataPreprocessor, FasterRCNN, L1Loss, ResNet,
                          RPNHead, Shared2FCBBoxHead, SingleRoIExtractor, StandardRoIHead)
from mmdet.models.task_modules import (AnchorGenerator, DeltaXYWHBBoxCoder, MaxIoUAssigner,
                                       RandomSampler)
from torch.nn import BatchNorm2d

default_scope = None
assigner = dict(type=MaxIoUAssigner, pos_iou_thr=0.5, neg_iou_thr=0.3, min_pos_iou=0.3)
sampler = dict(type=RandomSampler, num=16, pos_fraction=0.5)
box = dict(
    bbox_coder=dict(type=DeltaXYWHBBoxCoder),
    loss_cls=dict(type=CrossEntropyLoss),
    loss_bbox=dict(type=L1Loss),
)
model = dict(
    type=FasterRCNN,
    data_preprocessor=dict(type=DetDataPreprocessor, pad_size_divisor=32),
    backbone=dict(
        type=ResNet, depth=18, base_channels=8, norm_cfg=dict(type=BatchNorm2d), frozen_stages=1),
    neck=dict(type=FPN, in_channels=[8, 16, 32, 64], out_channels=8, num_outs=4),
    rpn_head=dict(
        type=RPNHead, in_channels=8, feat_channels=8,
        anchor_generator=dict(
            type=AnchorGenerator, scales=[8], ratios=[1.0], strides=[4, 8, 16, 32]),
        bbox_coder=dict(type=DeltaXYWHBBoxCoder),
        loss_cls=dict(type=CrossEntropyLoss, use_sigmoid=True), loss_bbox=dict(type=L1Loss)),
    roi_head=dict(
        type=StandardRoIHead,
        bbox_roi_extractor=dict(
            type=SingleRoIExtractor, roi_layer=dict(type=RoIAlign, output_size=7),
            out_channels=8, featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type=Shared2FCBBoxHead, in_channels=8, fc_out_channels=8, num_classes=10, **box)),
    train_cfg=dict(
        rpn=dict(assigner=assigner, sampler=sampler, allowed_border=-1, pos_weight=-1),
        rpn_proposal=dict(nms_pre=100, max_per_img=50, nms=dict(type=nms, iou_threshold=0.7)),
        rcnn=dict(assigner=assigner, sampler=sampler, pos_weight=-1)),
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=50, nms=dict(type=nms, iou_threshold=0.7)),
        rcnn=dict(score_thr=0.05, nms=dict(type=nms, iou_threshold=0.5), max_per_img=100)),
)
"""
CONFIG = """
from mmengine.config import read_base

with read_base():
    from .base import *

from mmcv.transforms import LoadImageFromFile, RandomResize
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, Resize
from mmdet.evaluation import CocoMetric
from mmengine.dataset.sampler import DefaultSampler
from mmengine.hooks import CheckpointHook
from mmengine.optim.optimizer.optimizer_wrapper import OptimWrapper
from mmengine.optim.scheduler.lr_scheduler import LinearLR
from mmengine.runner import LogProcessor
from mmengine.runner.loops import IterBasedTrainLoop, ValLoop
from torch.optim.adamw import AdamW

model.update(dict(backbone=dict(base_channels=8)))
root = 'ROOT/'
classes = ('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T')
train_pipeline = [
    dict(type=LoadImageFromFile),
    dict(type=LoadAnnotations, with_bbox=True),
    dict(type=RandomResize, scale=(96, 96), ratio_range=(1.0, 1.0), resize_type=Resize),
    dict(type=PackDetInputs),
]
test_pipeline = [
    dict(type=LoadImageFromFile),
    dict(type=Resize, scale=(96, 96), keep_ratio=True),
    dict(type=LoadAnnotations, with_bbox=True),
    dict(type=PackDetInputs),
]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type=DefaultSampler),
    dataset=dict(
        type=CocoDataset, data_root=root, ann_file='annotations/train.json',
        data_prefix=dict(img='train/'), metainfo=dict(classes=classes), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=CocoDataset, data_root=root, ann_file='annotations/val.json', test_mode=True,
        data_prefix=dict(img='val/'), metainfo=dict(classes=classes), pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type=CocoMetric, ann_file=root + 'annotations/val.json')
train_cfg = dict(type=IterBasedTrainLoop, max_iters=2, val_interval=2)
val_cfg = dict(type=ValLoop)
test_cfg = dict()
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-4))
param_scheduler = [dict(type=LinearLR, by_epoch=False, begin=0, end=2)]
default_hooks = dict(checkpoint=dict(type=CheckpointHook, by_epoch=False, interval=2))
log_processor = dict(type=LogProcessor, by_epoch=False)
"""


@pytest.fixture
def config(glyphs: Path, tmp_path: Path) -> str:
    """A slim Faster R-CNN on glyphs."""
    register_all_modules()
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'mine.py').write_text(CONFIG.replace('ROOT', str(glyphs)))
    return str(tmp_path / 'mine.py')


def test_types_are_named_as_in_ordinary_configs(config):
    cfg = with_names(Config.fromfile(config))
    assert cfg.default_scope == 'mmdet'
    assert 'nms' not in cfg and 'CocoDataset' not in cfg  # what was imported
    assert cfg.model.type == 'FasterRCNN'
    assert cfg.model.backbone.norm_cfg.type == 'BN'
    assert cfg.model.roi_head.bbox_roi_extractor.roi_layer.type == 'RoIAlign'
    assert cfg.model.test_cfg.rcnn.nms.type == 'nms'
    assert cfg.train_pipeline[2].resize_type == cfg.test_pipeline[1].type == 'Resize'
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline


def test_a_name_that_means_another_class_is_not_used(tmp_path):
    """MMDetection has a Resize of its own, which hides MMCV's."""
    (tmp_path / 'a.py').write_text(
        'from mmcv.transforms import Resize\nfrom mmdet.models import FPN\n'
        'from pathlib import PurePath as Own\nmodel = dict(type=FPN)\n'
        'pipeline = [dict(type=Resize)]\nkinds = [Resize, FPN]\n'
    )
    cfg = with_names(Config.fromfile(tmp_path / 'a.py'))
    assert cfg.pipeline[0].type == 'mmcv.transforms.processing.Resize'
    assert cfg.kinds == ['mmcv.transforms.processing.Resize', 'FPN']


def test_the_scope_is_that_of_the_model(tmp_path):
    pytest.importorskip('mmpretrain')
    (tmp_path / 'a.py').write_text(
        'from mmpretrain.models import ImageClassifier, VisionTransformer\n'
        'model = dict(type=ImageClassifier, backbone=dict(type=VisionTransformer))\n'
    )
    cfg = with_names(Config.fromfile(tmp_path / 'a.py'))
    assert cfg.default_scope == 'mmpretrain'
    assert cfg.model == dict(type='ImageClassifier', backbone=dict(type='VisionTransformer'))


def test_what_has_no_name_is_said(config, tmp_path):
    with (tmp_path / 'mine.py').open('a') as file:
        file.write('model.update(dict(extra=lambda x: x))\n')
    with pytest.raises(ValueError, match='mine.py cannot be read: .*model.extra is <function'):
        make_recipe(config, config, 2, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_recipe_of_it_trains(config, tmp_path, monkeypatch):
    recipe = tmp_path / 'out'
    made = make_recipe(config, config, 2, recipe)
    assert made.files[:3] == ['teacher.py', 'ceiling.py', 'baseline.py']
    given = MODELS.build(Config.fromfile(config).model)
    written = MODELS.build(Config.fromfile(recipe / 'ceiling.py').model)
    assert str(written) == str(given)

    torch.save(dict(state_dict=written.state_dict()), tmp_path / 'assistant.pth')
    monkeypatch.setenv('ASSISTANT_CHECKPOINT', str(tmp_path / 'assistant.pth'))
    cfg = Config.fromfile(recipe / 'student.py')
    cfg.work_dir = str(tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    logged = runner.message_hub.log_scalars
    for term in (*cfg.model.terms, 'isrd'):
        assert torch.tensor(logged[f'train/distill_{term}_loss'].current()).isfinite()
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()
