"""A distilled student as the config and checkpoint with which it is deployed."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry, init_default_scope

from ..checkpoint import load_data
from ..distillers.teacher import check_fits, student_part
from ..mixin import with_preprocessor
from .config import load_config
from .deploy import PACKAGE, deployed_pipeline, is_ours, makes_small, stock_dataset, without_views
from .tasks import Task, task_of

KEPT = (
    'default_scope',
    'custom_imports',
    'test_dataloader',
    'test_evaluator',
    'test_cfg',
    'val_dataloader',
    'val_evaluator',
    'val_cfg',
    'tta_model',
    'tta_pipeline',
    'default_hooks',
    'env_cfg',
    'vis_backends',
    'visualizer',
    'log_processor',
    'log_level',
)
"""What a config says besides its model that is not for training."""


def export_student(
    config: str | os.PathLike, checkpoint: str | os.PathLike, out_dir: str | os.PathLike
) -> list[Path]:
    """Write what a distiller trained as a config and a checkpoint of their own.

    A student becomes plain MMDetection or MMPretrain: neither file needs this package, and the
    pipelines are those of files that are really small. An assistant reads the large image; that of
    a detector (:class:`AFPDetector`) stays one, its config imports this package. Of a training with
    EMA the averaged weights are taken, which are those that were validated.

    Args:
        config: Config file of a distiller.
        checkpoint: File that its training wrote, opened as plain data.
        out_dir: Folder for ``<name>.py`` and ``<name>.pth``, named after ``config``; made where
            it is missing.

    Returns:
        The two files.

    Raises:
        FileExistsError: One of the files is there already.
        FileNotFoundError: The config or the checkpoint is not there.
        ModuleNotFoundError: The config is of MMPretrain, which is not installed.
        ValueError: The config has no distiller, the checkpoint is not of its training, or
            something in the config works only with this package.
    """
    files = [Path(out_dir, Path(config).stem + suffix) for suffix in ('.py', '.pth')]
    for file in files:
        if file.exists():
            raise FileExistsError(f'{file} is there already: name another folder, or remove it')
    cfg = load_config(config, splits=()).to_dict()
    task = task_of(cfg)
    _check_config(task, cfg, config)
    saved = load_data(checkpoint)
    _check_view(task, saved, checkpoint, cfg['model'].get('view', 'lr'), config)
    deployed, notes = _deployed_config(task, cfg)
    weights = _weights(task, saved, checkpoint, deployed['model'], config)
    text = Config(deployed).pretty_text
    meta = dict(cfg=text)
    if 'dataset_meta' in saved['meta']:
        meta['dataset_meta'] = _plain(saved['meta']['dataset_meta'])
    _write(
        files, ''.join(f'# {note}\n' for note in notes) + text, dict(meta=meta, state_dict=weights)
    )
    return files


def _write(files: list[Path], text: str, saved: dict) -> None:
    """Write both elsewhere first: one without the other would stand in the next export's way."""
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as unfinished:
        config, checkpoint = (Path(unfinished, file.name) for file in files)
        config.write_text(text, encoding='utf-8')
        torch.save(saved, checkpoint)
        checkpoint.rename(files[1])
        config.rename(files[0])


def _check_config(task: Task, cfg: dict, config: str | os.PathLike) -> None:
    kind = cfg.get('model', {}).get('type')
    if not _is(task.distiller, kind):
        raise ValueError(
            f'{config}: its model is no {task.distiller} but {kind}: it is not distilled, and '
            'its own config and checkpoint are what it is deployed with'
        )
    if 'test_dataloader' not in cfg:
        raise ValueError(f'{config} has no test_dataloader, whose pipeline reads the images')


def _is(name: str | None, kind: Any) -> bool:
    """Whether a type in a config is a class of this name."""
    return isinstance(kind, str) and kind.rpartition('.')[2] == name


def _check_view(
    task: Task,
    saved: dict,
    checkpoint: str | os.PathLike,
    view: str,
    config: str | os.PathLike,
) -> None:
    """Refuse what another stage trained: student and assistant have the same weights by name."""
    trained = _trained_view(task.distiller, saved.get('meta', {}).get('cfg', ''))
    if trained is None:
        raise ValueError(
            f"{checkpoint} is not a distiller's checkpoint: the config that it carries has no "
            f'{task.distiller}. Name a checkpoint that the training of a distiller wrote'
        )
    if trained != view:
        raise ValueError(
            f'{checkpoint} was trained on the view {trained!r}, but {config} describes a model '
            f'that reads {view!r}: is it the checkpoint of another stage?'
        )


def _trained_view(distiller: str, text: str) -> str | None:
    """The view of the distiller in the text of a config, which is parsed but not run."""
    try:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return None
    for call in calls:
        options = {
            keyword.arg: keyword.value.value
            for keyword in call.keywords
            if isinstance(keyword.value, ast.Constant)
        }
        if _is(distiller, options.get('type')):
            return options.get('view', 'lr')
    return None


def _deployed_config(task: Task, cfg: dict) -> tuple[dict, list[str]]:
    """The config to write, and what to say at its top."""
    distiller = cfg['model']
    preprocessor = distiller.get('data_preprocessor') or cfg.get('data_preprocessor')
    model = with_preprocessor(distiller['student'], preprocessor)
    deployed = {key: cfg[key] for key in KEPT if key in cfg} | dict(model=model)
    if _is(task.assistant, model['type']):
        deployed['custom_imports'] = dict(imports=[PACKAGE], allow_failed_imports=False) | (
            cfg.get('custom_imports') or {}
        )
        return deployed, [
            f'An assistant: it needs the package {PACKAGE}, which this config imports, and reads '
            'large images.'
        ]
    small = distiller.get('view', 'lr') == 'lr'
    change = partial(deployed_pipeline, ratio=distiller['ratio']) if small else without_views
    deployed = _with_pipelines(deployed, change)
    notes = [
        f'A distilled student, plain {task.library}: its pipelines are for files that are small.'
        if small
        else f'A distilled assistant, plain {task.library}: it reads large images.'
    ]
    imports = _other_imports(deployed.pop('custom_imports', None))
    if imports:
        deployed['custom_imports'] = imports
    return _without_package(task, deployed, notes), notes


def _with_pipelines(node: Any, change: Callable[[list], list]) -> Any:
    """A config whose pipelines don't make the views, but are given one."""
    if isinstance(node, (list, tuple)):
        return type(node)(_with_pipelines(inner, change) for inner in node)
    if not isinstance(node, dict):
        return node
    return {
        key: change(inner)
        if key in ('pipeline', 'tta_pipeline') and makes_small(inner)
        else _with_pipelines(inner, change)
        for key, inner in node.items()
    }


def _other_imports(imports: dict | None) -> dict | None:
    """What a config imports besides this package."""
    if not imports:
        return None
    names = imports['imports']
    names = [names] if isinstance(names, str) else names
    others = [name for name in names if name.partition('.')[0] != PACKAGE]
    return imports | dict(imports=others) if others else None


def _without_package(task: Task, node: Any, notes: list[str], path: str = '') -> Any:
    """A config in which nothing is this package's: a dataset becomes the one that it extends.

    Raises:
        ValueError: There is anything else of this package.
    """
    if isinstance(node, (list, tuple)):
        return type(node)(
            _without_package(task, inner, notes, f'{path}.{index}')
            for index, inner in enumerate(node)
        )
    if not isinstance(node, dict):
        return node
    node = {
        key: _without_package(task, inner, notes, f'{path}.{key}'.lstrip('.'))
        for key, inner in node.items()
    }
    name = str(node.get('type')).rpartition('.')[2]
    if name not in _registered(task.scope):
        return node
    stock = stock_dataset(node)
    if not stock:
        raise ValueError(
            f'{path}: {node["type"]} is part of {PACKAGE}, so no plain {task.library} '
            'config can have it; change the config of the distiller'
        )
    note = f'{name} is part of {PACKAGE}; here is {stock["type"]}, which it extends.'
    if note not in notes:
        notes.append(note)
    return node | stock


def _registered(scope: str) -> Iterator[str]:
    """Names of what this package adds to a library's registries, and to MMEngine's."""
    for library in (scope, 'mmengine'):
        for registry in vars(import_module(f'{library}.registry')).values():
            if isinstance(registry, Registry):
                for name, registered in registry.module_dict.items():
                    if is_ours(registered):
                        yield name


def _weights(
    task: Task,
    saved: dict,
    checkpoint: str | os.PathLike,
    model: dict,
    config: str | os.PathLike,
) -> dict[str, torch.Tensor]:
    """The state dict of a model, with its modules' versions, filled from a checkpoint.

    EMAHook puts the averaged weights into ``state_dict`` and the others into ``ema_state_dict``.
    """
    init_default_scope(task.scope)
    # As the runner builds it: two-stage detectors read `train_cfg.rpn`, which a plain dict has not.
    # A copy, since models write into the config that they are built from.
    state_dict = task.models.build(ConfigDict(deepcopy(model))).state_dict()
    weights = student_part(saved)
    check_fits(weights, state_dict, str(checkpoint), f'the student of {config}')
    state_dict.update(weights)
    return state_dict


def _plain(value: Any) -> Any:
    """A value without NumPy's types, which torch's own loader of weights refuses."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(inner) for inner in value)
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
