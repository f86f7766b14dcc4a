"""What a trained stage reaches and costs."""

from __future__ import annotations

import copy
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import DATASETS, MODELS
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ..checkpoint import load_data
from ..distillers.teacher import plain_model_cfg
from .stages import Stage

AP_NAMES = (
    'bbox_mAP',
    'bbox_mAP_50',
    'bbox_mAP_75',
    'bbox_mAP_s',
    'bbox_mAP_m',
    'bbox_mAP_l',
)


def stage_row(stage: Stage, work_dir: Path) -> dict[str, Any]:
    """A finished stage's row of the results; evaluated once a checkpoint.

    Returns:
        ``name``, ``view``, the APs of ``AP_NAMES`` (0 to 1; -1 where there is no such object),
        ``parameters``, ``flops``, ``image_side`` (width, height), ``iterations``, ``seed``,
        ``seconds`` and ``checkpoint`` (relative to ``work_dir``).
    """
    record = stage.folder / 'metrics.json'
    checkpoint = os.path.relpath(stage.checkpoint, work_dir)
    if record.is_file() and record.stat().st_mtime >= stage.checkpoint.stat().st_mtime:
        row = json.loads(record.read_text())
        if row['checkpoint'] == checkpoint:
            return row
    meta = load_data(stage.checkpoint).get('meta', {})
    row = dict(
        name=stage.name,
        view=view(stage.cfg),
        **average_precisions(stage.cfg, stage.checkpoint, stage.folder / 'test'),
        **costs(stage.cfg),
        iterations=meta.get('iter'),
        seed=meta.get('seed'),
        seconds=stage.seconds,
        checkpoint=checkpoint,
    )
    record.write_text(json.dumps(row, indent=2) + '\n')
    return row


def view(cfg: Config) -> str:
    """The view that a detector reads when it is tested: ``'hr'`` or ``'lr'``."""
    views = [
        list(transform.get('views', ['hr', 'lr']))
        for transform in val_dataset(cfg).pipeline
        if transform['type'] == 'LowResolution'
    ]
    return 'lr' if ['lr'] in views else 'hr'


def val_dataset(cfg: Config) -> dict:
    """The config of the validation set, without what wraps it."""
    dataset = cfg.val_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def average_precisions(cfg: Config, checkpoint: Path, work_dir: Path) -> dict[str, float]:
    """COCO's average precisions on the validation set, by the names of ``AP_NAMES``.

    Args:
        cfg: The stage's config.
        checkpoint: Its weights.
        work_dir: Where the logs of the test go.
    """
    cfg = Config(copy.deepcopy(cfg.to_dict()), format_python_code=False)  # formatting takes seconds
    cfg.merge_from_dict(dict(load_from=str(checkpoint), resume=False, work_dir=str(work_dir)))
    cfg.test_evaluator = _evaluator(cfg)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_dataloader.persistent_workers = False  # they would outlive the test
    cfg.test_cfg = dict(type='TestLoop')
    cfg.experiment_name = f'{work_dir.parent.name}_test'
    metrics = Runner.from_cfg(cfg).test()
    # Without a single detection CocoMetric returns nothing.
    return {name: metrics.get(f'coco/{name}', 0.0) for name in AP_NAMES}


def _evaluator(cfg: Config) -> dict:
    """The config's CocoMetric, or a new one; one without ``ann_file`` is given the instances."""
    evaluators = cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]
    evaluator = next((dict(one) for one in evaluators if one['type'] == 'CocoMetric'), {})
    if not evaluator.get('ann_file'):
        pack = val_dataset(cfg).pipeline[-1]
        pack.meta_keys = (*pack.get('meta_keys', PackDetInputs().meta_keys), 'instances')
    return evaluator | dict(type='CocoMetric', metric='bbox', classwise=False, prefix='coco')


def build_dataset(cfg: Config) -> BaseDataset:
    """The validation set."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return DATASETS.build(cfg.val_dataloader.dataset)


def build_detector(cfg: Config) -> nn.Module:
    """The detector that is deployed: nothing of the distillation, no weights loaded yet."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return revert_sync_batchnorm(MODELS.build(plain_model_cfg(cfg.model))).eval()


def costs(cfg: Config) -> dict[str, Any]:
    """Size of a stage's detector, and what the first validation image costs it.

    Returns:
        ``parameters``; ``flops``, as MMEngine counts them (a multiplication and its addition are
        one), on the padded image; ``image_side``, width and height before padding.
    """
    detector = build_detector(cfg)
    data = detector.data_preprocessor(pseudo_collate([build_dataset(cfg)[0]]))
    height, width = data['data_samples'][0].img_shape
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    with torch.no_grad():
        # An assistant learns the small image's levels at first sight: no cost of each image.
        detector.extract_feat(data['inputs'])
    detector.forward = partial(detector.forward, data_samples=data['data_samples'])
    complexity = get_model_complexity_info(
        detector, inputs=data['inputs'], show_table=False, show_arch=False
    )
    return dict(parameters=parameters, flops=complexity['flops'], image_side=[width, height])
