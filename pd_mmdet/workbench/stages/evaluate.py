"""Measure how good a trained stage is, and what it costs."""

from __future__ import annotations

import copy
import json
import os
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ...checkpoint import load_data
from ...distillers.teacher import plain_model_cfg
from ...mixin import with_preprocessor
from ...pixel_options import type_name
from ..onnx.evaluate import with_file
from ..tasks import task_of
from ..validation_sets import pipeline_of, validation_sets
from .schedule import training_length
from .stage import Stage


def stage_row(stage: Stage, work_dir: Path) -> dict[str, Any]:
    """Return a finished stage's row of the results; each checkpoint is evaluated once.

    Returns:
        ``name``, ``view``, the metrics of :func:`measure`, ``parameters``, ``flops``,
        ``image_side`` (width, height), ``iterations``, ``epochs`` (None if the config counts
        iterations; both 0 where nothing is trained), ``seed``, ``seconds`` and ``checkpoint``
        (relative to ``work_dir``).
    """
    record = stage.folder / 'metrics.json'
    checkpoint = os.path.relpath(stage.checkpoint, work_dir)
    if record.is_file() and record.stat().st_mtime >= stage.checkpoint.stat().st_mtime:
        row = json.loads(record.read_text())
        if row['checkpoint'] == checkpoint:
            return row
    meta = load_data(stage.checkpoint).get('meta', {})
    if stage.weights_of:
        meta |= dict(iter=0, epoch=0)
    row = dict(
        name=stage.name,
        view=view(stage.cfg),
        **measure(stage.cfg, stage.checkpoint, stage.folder / 'test'),
        **costs(stage.cfg),
        iterations=meta.get('iter'),
        epochs=meta.get('epoch') if training_length(stage.cfg)[1] == 'epochs' else None,
        seed=meta.get('seed'),
        seconds=stage.seconds,
        checkpoint=checkpoint,
    )
    record.write_text(json.dumps(row, indent=2) + '\n')
    return row


def view(cfg: Config) -> str:
    """Return the view that a stage reads when it is tested: ``'hr'`` or ``'lr'``."""
    views = [
        list(transform.get('views', ['hr', 'lr']))
        for transform in pipeline_of(val_dataset(cfg))
        if type_name(transform) == 'LowResolution'
    ]
    return 'lr' if ['lr'] in views else 'hr'


def val_dataset(cfg: Config) -> dict:
    """Return the config of the first validation set, without wrappers that repeat images."""
    return next(iter(validation_sets(cfg).values()))


def measure(cfg: Config, checkpoint: Path, work_dir: Path) -> dict[str, float | None]:
    """Evaluate a stage on the validation sets.

    Several sets are evaluated one by one; their keys begin with the name of the set, such as
    ``night/bbox_mAP``.

    Args:
        cfg: The stage's config.
        checkpoint: Its weights, or an ONNX file.
        work_dir: Folder for the logs of the test.

    Returns:
        Metrics, 0 to 1; -1 if a metric has no meaning, such as AP of a size that no object has;
        None if it was not measured.
    """
    return {
        f'{name}/{key}'.lstrip('/'): value
        for place, name in enumerate(validation_sets(cfg))
        for key, value in _measure(cfg, place, checkpoint, work_dir / name).items()
    }


def _measure(cfg: Config, place: int, checkpoint: Path, work_dir: Path) -> dict[str, float | None]:
    """Evaluate a stage on the validation set with this index."""
    cfg = Config(copy.deepcopy(cfg.to_dict()), format_python_code=False)  # formatting takes seconds
    cfg.merge_from_dict(dict(load_from=str(checkpoint), resume=False, work_dir=str(work_dir)))
    task = task_of(cfg)
    cfg.test_evaluator = task.evaluators(cfg, place)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_dataloader.dataset = list(validation_sets(cfg).values())[place]
    cfg.test_dataloader.persistent_workers = False  # they would outlive the test
    cfg.test_cfg = dict(type='TestLoop')
    cfg.experiment_name = '_'.join(work_dir.parts[-3:])
    # By this name a second test in this process would get the first one's visualizer and folder.
    (cfg.get('visualizer') or {}).pop('name', None)
    if checkpoint.suffix == '.onnx':
        cfg = with_file(cfg, checkpoint)
    return task.metrics(Runner.from_cfg(cfg).test())


def build_dataset(cfg: Config) -> BaseDataset:
    """Build the first validation set."""
    task = task_of(cfg)
    init_default_scope(task.scope)
    return task.datasets.build(copy.deepcopy(val_dataset(cfg)))


def build_model(cfg: Config) -> nn.Module:
    """Build the network that is deployed, without distillation; its weights are not loaded."""
    task = task_of(cfg)
    init_default_scope(task.scope)
    model = plain_model_cfg(with_preprocessor(cfg.model, cfg.get('data_preprocessor')))
    return revert_sync_batchnorm(task.models.build(copy.deepcopy(model))).eval()


def costs(cfg: Config) -> dict[str, Any]:
    """Measure the size of a stage's network, and the cost of the first validation image.

    Returns:
        ``parameters``; ``flops`` on the padded image, as MMEngine counts them (a multiplication
        and its addition are one), with the products of attention; ``image_side``, width and height
        before padding.
    """
    model = build_model(cfg)
    item = build_dataset(cfg)[0]
    height, width = item['inputs'].shape[-2:]
    data = model.data_preprocessor(pseudo_collate([item]))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    with torch.no_grad():
        # An assistant finds the shapes of the small image's levels only once.
        model.extract_feat(data['inputs'])
    model.forward = partial(model.forward, data_samples=data['data_samples'])
    counter = FlopAnalyzer(model, data['inputs']).uncalled_modules_warnings(False)
    counter.set_op_handle('aten::scaled_dot_product_attention', attention_flops)
    return dict(parameters=parameters, flops=counter.total(), image_side=[width, height])


def attention_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """Count the FLOPs of the two products of fused attention, which MMEngine does not count.

    Args:
        inputs: Traced queries (…, L, E), keys (…, S, E) and values (…, S, V).
        outputs: Traced results. Not used.
    """
    query, key, value = (traced.type().sizes() for traced in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
