from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

import pd_mmdet  # noqa: F401
from tests.helpers import ROOT

META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')


@pytest.fixture(scope='session')
def detector() -> ConfigDict:
    """A slim RetinaNet for the 10 glyphs."""
    path = ROOT / 'configs' / '_base_' / 'models' / 'retinanet_r18_slim_fpn.py'
    cfg = Config.fromfile(path).model
    cfg.bbox_head.num_classes = 10
    return cfg


def pipeline(*transforms: dict) -> list[dict]:
    """Load, transform, pack."""
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        *transforms,
        dict(type='PackPairedDetInputs', meta_keys=META_KEYS),
    ]


@pytest.fixture(name='pipeline')
def _pipeline():
    return pipeline


@pytest.fixture
def make_runner(glyphs, tmp_path):
    """Build runners for two steps, each in the folder ``name`` under tmp_path."""

    def loader(split: str, transforms: list[dict]) -> dict:
        return dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
            dataset=dict(
                type='CocoDataset',
                data_root=str(glyphs),
                ann_file=f'annotations/{split}.json',
                data_prefix=dict(img=f'{split}/'),
                metainfo=Config.fromfile(
                    ROOT / 'configs' / '_base_' / 'datasets' / 'glyphs_detection.py'
                ).metainfo,
                test_mode=split == 'val',
                pipeline=transforms,
            ),
        )

    def make(name: str, model: dict, hooks: list[dict], train=None, val=None, **kwargs) -> Runner:
        train = pipeline(dict(type='LowResolution', ratio=2)) if train is None else train
        if val is None:
            val = pipeline(dict(type='LowResolution', ratio=2, views=('lr',)))
        if val:
            kwargs |= dict(
                val_dataloader=loader('val', val),
                val_cfg=dict(),
                val_evaluator=dict(
                    type='CocoMetric', ann_file=str(glyphs / 'annotations' / 'val.json')
                ),
            )
        options = dict(
            train_dataloader=loader('train', train),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=100),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
            ),
            custom_hooks=hooks,
            randomness=dict(seed=0),
            default_scope='mmdet',
            experiment_name=f'{tmp_path.name}-{name}',
        )
        return Runner(model, str(tmp_path / name), **(options | kwargs))

    return make


@pytest.fixture
def teacher(detector, tmp_path) -> ConfigDict:
    """The AFP-rescaled student, with random weights."""
    cfg = ConfigDict(type='AFPDetector', detector=detector, ratio=2)
    torch.manual_seed(0)
    model = MODELS.build(deepcopy(cfg))
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'teacher.pth')
    return ConfigDict(cfg=cfg, checkpoint=str(tmp_path / 'teacher.pth'), view='hr')


@pytest.fixture
def distiller(detector, teacher) -> ConfigDict:
    return ConfigDict(type='AFPDistiller', student=detector, ratio=2, teacher=teacher)


@pytest.fixture
def log_of():
    def read(runner: Runner) -> str:
        return Path(runner.log_dir, f'{runner.timestamp}.log').read_text()

    return read
