"""What a trained stage reaches and costs."""

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
from ..tasks import task_of
from ..validation_sets import pipeline_of, type_name, validation_sets
from .schedule import training_length
from .stage import Stage


def stage_row(stage: Stage, work_dir: Path) -> dict[str, Any]:
    """A finished stage's row of the results; evaluated once a checkpoint.

    Returns:
        ``name``, ``view``, what :func:`measure` finds, ``parameters``, ``flops``, ``image_side``
        (width, height), ``iterations``, ``epochs`` (None where the config counts iterations),
        ``seed``, ``seconds`` and ``checkpoint`` (relative to ``work_dir``).
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
    """The view that a stage reads when it is tested: ``'hr'`` or ``'lr'``."""
    views = [
        list(transform.get('views', ['hr', 'lr']))
        for transform in pipeline_of(val_dataset(cfg))
        if type_name(transform) == 'LowResolution'
    ]
    return 'lr' if ['lr'] in views else 'hr'


def val_dataset(cfg: Config) -> dict:
    """The config of the first validation set, without what repeats images."""
    return next(iter(validation_sets(cfg).values()))


def measure(cfg: Config, checkpoint: Path, work_dir: Path) -> dict[str, float | None]:
    """How good a stage is on the validation sets, by the keys of a row.

    Of several sets, each of which is judged alone, the keys begin with the set's name, such as
    ``night/bbox_mAP``.

    Args:
        cfg: The stage's config.
        checkpoint: Its weights.
        work_dir: Where the logs of the test go.

    Returns:
        0 to 1; -1 where a measure has no meaning, as AP of a size that no object has; None where
        it was not measured.
    """
    return {
        f'{name}/{key}'.lstrip('/'): value
        for place, name in enumerate(validation_sets(cfg))
        for key, value in _measure(cfg, place, checkpoint, work_dir / name).items()
    }


def _measure(cfg: Config, place: int, checkpoint: Path, work_dir: Path) -> dict[str, float | None]:
    cfg = Config(copy.deepcopy(cfg.to_dict()), format_python_code=False)  # formatting takes seconds
    cfg.merge_from_dict(dict(load_from=str(checkpoint), resume=False, work_dir=str(work_dir)))
    task = task_of(cfg)
    cfg.test_evaluator = task.evaluators(cfg, place)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_dataloader.dataset = list(validation_sets(cfg).values())[place]
    cfg.test_dataloader.persistent_workers = False  # they would outlive the test
    cfg.test_cfg = dict(type='TestLoop')
    cfg.experiment_name = '_'.join(work_dir.parts[-3:])
    return task.metrics(Runner.from_cfg(cfg).test())


def build_dataset(cfg: Config) -> BaseDataset:
    """The validation set, the first where there are several."""
    task = task_of(cfg)
    init_default_scope(task.scope)
    return task.datasets.build(copy.deepcopy(val_dataset(cfg)))


def build_model(cfg: Config) -> nn.Module:
    """The network that is deployed: nothing of the distillation, no weights loaded yet."""
    task = task_of(cfg)
    init_default_scope(task.scope)
    model = plain_model_cfg(with_preprocessor(cfg.model, cfg.get('data_preprocessor')))
    return revert_sync_batchnorm(task.models.build(copy.deepcopy(model))).eval()


def costs(cfg: Config) -> dict[str, Any]:
    """Size of a stage's network, and what the first validation image costs it.

    Returns:
        ``parameters``; ``flops``, as MMEngine counts them (a multiplication and its addition are
        one) and with the products of attention, on the padded image; ``image_side``, width and
        height before padding.
    """
    model = build_model(cfg)
    item = build_dataset(cfg)[0]
    height, width = item['inputs'].shape[-2:]
    data = model.data_preprocessor(pseudo_collate([item]))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    with torch.no_grad():
        # An assistant learns the small image's levels at first sight: no cost of each image.
        model.extract_feat(data['inputs'])
    model.forward = partial(model.forward, data_samples=data['data_samples'])
    counter = FlopAnalyzer(model, data['inputs']).uncalled_modules_warnings(False)
    counter.set_op_handle('aten::scaled_dot_product_attention', attention_flops)
    return dict(parameters=parameters, flops=counter.total(), image_side=[width, height])


def attention_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """What the two products of fused attention cost, which MMEngine's counter does not know.

    Args:
        inputs: The traced values of queries (…, L, E), keys (…, S, E) and values (…, S, V).
        outputs: Of the result. Not used.
    """
    query, key, value = (one.type().sizes() for one in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
