"""Export a distilled student as the config and the checkpoint with which it is deployed."""

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
from mmengine.utils import apply_to

from ..checkpoint import load_data
from ..distillers.teacher import check_fits, student_part
from ..mixin import with_preprocessor
from ..sub_cells import SubCellDetector
from .configs import Place, dotted, replace
from .deployed_data import (
    PACKAGE,
    deployed_pipeline,
    is_ours,
    makes_small,
    stock_dataset,
    without_views,
)
from .load_config import load_config
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
"""Keys of a config, beside its model, that are not for training: the deployed config has them."""


def export_student(
    config: str | os.PathLike, checkpoint: str | os.PathLike, out_dir: str | os.PathLike
) -> list[Path]:
    """Write a trained student as a config and a checkpoint that can be used without a teacher.

    A student becomes a plain model of MMDetection or MMPretrain: neither file needs this package,
    and the pipelines read files that are small. An assistant reads the large image; that of a
    detector (:class:`AFPDetector`) needs this package, and its config imports it. So does a student
    with sub-cells (:class:`SubCellDetector`). If the training
    used EMA, the averaged weights are taken: they are those that were validated.

    Args:
        config: Config file of a distiller.
        checkpoint: Checkpoint of its training; opened as plain data.
        out_dir: Folder for ``<name>.py`` and ``<name>.pth``, named after ``config``; created if it
            does not exist.

    Returns:
        The two files.

    Raises:
        FileExistsError: One of the files exists.
        FileNotFoundError: The config or the checkpoint does not exist.
        ModuleNotFoundError: The config is of MMPretrain, which is not installed.
        ValueError: The config has no distiller, the checkpoint is not of its training, or
            something in the config works only with this package.
    """
    files = [Path(out_dir, Path(config).stem + suffix) for suffix in ('.py', '.pth')]
    for file in files:
        if file.exists():
            raise FileExistsError(f'{file} exists already: name another folder, or remove it')
    cfg = load_config(config, splits=()).to_dict()
    task = task_of(cfg)
    _check_config(task, cfg, config)
    saved = load_data(checkpoint)
    check_view(task, saved, checkpoint, cfg['model'].get('view', 'lr'), config)
    deployed, notes = _deployed_config(task, cfg)
    weights = _weights(task, saved, checkpoint, deployed['model'], config)
    text = Config(deployed).pretty_text
    meta = dict(cfg=text)
    if 'dataset_meta' in saved['meta']:
        meta['dataset_meta'] = _without_numpy(saved['meta']['dataset_meta'])
    _write(
        files, ''.join(f'# {note}\n' for note in notes) + text, dict(meta=meta, state_dict=weights)
    )
    return files


def _write(files: list[Path], text: str, saved: dict) -> None:
    """Write both files, or none: one alone would stop the next export.

    Args:
        files: The config and the checkpoint.
        text: Text of the config.
        saved: Content of the checkpoint.
    """
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as unfinished:
        config, checkpoint = (Path(unfinished, file.name) for file in files)
        config.write_text(text, encoding='utf-8')
        torch.save(saved, checkpoint)
        checkpoint.rename(files[1])
        config.rename(files[0])


def _check_config(task: Task, cfg: dict, config: str | os.PathLike) -> None:
    """Refuse a config that cannot be exported."""
    kind = cfg.get('model', {}).get('type')
    if not _is(task.distiller, kind):
        raise ValueError(
            f'{config}: model.type is {kind}, not {task.distiller}: it is not distilled, and '
            'can be deployed with its config and checkpoint as they are'
        )
    if 'test_dataloader' not in cfg:
        raise ValueError(f'{config} has no test_dataloader: its pipeline is needed to read images')


def _is(name: str | None, kind: Any) -> bool:
    """Return whether a type in a config is the name of this class, with or without a scope."""
    return isinstance(kind, str) and kind.rpartition('.')[2] == name


def check_view(
    task: Task,
    saved: dict,
    checkpoint: str | os.PathLike,
    view: str,
    config: str | os.PathLike,
) -> None:
    """Refuse the checkpoint of another stage.

    The weights of student and assistant have the same names and shapes, so they do not tell.
    """
    trained = _trained_view(task.distiller, saved)
    if trained is None:
        raise ValueError(
            f"{checkpoint} is not a distiller's checkpoint: it was not trained as "
            f'{task.distiller}. Name a checkpoint of the training that {config} describes'
        )
    if trained != view:
        raise ValueError(
            f'{checkpoint} was trained on the view {trained!r}, but {config} describes a model '
            f'that reads {view!r}: name the checkpoint of the same stage'
        )


def _trained_view(distiller: str, saved: dict) -> str | None:
    """Return the view that a checkpoint's student was trained on; None if it was not distilled.

    Args:
        distiller: Class name of the task's distiller.
        saved: The checkpoint. ``TeacherHook`` has written into it what was trained.
    """
    if 'pd_mmdet' not in saved:
        return _view_in_config(distiller, saved.get('meta', {}).get('cfg', ''))
    trained = saved['pd_mmdet']
    return trained['view'] if trained['distiller'] == distiller else None


def _view_in_config(distiller: str, text: str) -> str | None:
    """Find the view in the config that a checkpoint carries, which is parsed but not run.

    For checkpoints that do not say what was trained: those of version 0.1, and of trainings
    without ``TeacherHook``.
    """
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
    """Return the config to write, and the comments for its first lines."""
    distiller = cfg['model']
    preprocessor = distiller.get('data_preprocessor') or cfg.get('data_preprocessor')
    model = with_preprocessor(distiller['student'], preprocessor)
    deployed = {key: cfg[key] for key in KEPT if key in cfg} | dict(model=model)
    if _is(task.assistant, model['type']):
        deployed['custom_imports'] = _with_package(cfg.get('custom_imports'))
        return deployed, [
            f'An assistant: it reads large images, and needs the package {PACKAGE}, which this '
            'config imports.'
        ]
    small = distiller.get('view', 'lr') == 'lr'
    change = partial(deployed_pipeline, ratio=distiller['ratio']) if small else without_views
    deployed = replace(deployed, partial(_changed_pipeline, change))
    has_cells = _is(SubCellDetector.__name__, model['type'])
    imports = (_with_package if has_cells else _other_imports)(deployed.pop('custom_imports', None))
    if imports:
        deployed['custom_imports'] = imports
    notes = [_note(task, small, has_cells)]
    return _without_package(task, deployed, notes), notes


def _note(task: Task, small: bool, has_cells: bool) -> str:
    kind = 'a head with sub-cells' if has_cells else f'plain {task.library}'
    if small:
        note = f'A distilled student, {kind}: its pipelines read files that are small.'
    else:
        note = f'A distilled assistant, {kind}: it reads large images.'
    if has_cells:
        note += f' Sub-cells need the package {PACKAGE}, which this config imports.'
    return note


def _changed_pipeline(change: Callable[[list], list], place: Place, value: Any) -> Any:
    """Change a pipeline that makes the views; return any other value as it is."""
    is_pipeline = place and place[-1] in ('pipeline', 'tta_pipeline')
    return change(value) if is_pipeline and makes_small(value) else value


def _with_package(imports: dict | None) -> dict:
    """Return ``custom_imports``, or those of this package where there were none."""
    return dict(imports=[PACKAGE], allow_failed_imports=False) | (imports or {})


def _other_imports(imports: dict | None) -> dict | None:
    """Return ``custom_imports`` without this package; None if nothing is left."""
    if not imports:
        return None
    names = imports['imports']
    names = [names] if isinstance(names, str) else names
    kept = [name for name in names if name.partition('.')[0] != PACKAGE]
    return imports | dict(imports=kept) if kept else None


def _without_package(task: Task, cfg: dict, notes: list[str]) -> dict:
    """Return a config in which each dataset of this package is the one that it extends.

    Raises:
        ValueError: The config has another part of this package that is no head with sub-cells.
    """
    registered = set(_registered(task.scope))

    def stock(place: Place, value: Any) -> Any:
        name = str(value.get('type')).rpartition('.')[2] if isinstance(value, dict) else None
        if name not in registered or name == SubCellDetector.__name__:
            return value
        dataset = stock_dataset(value)
        if not dataset:
            raise ValueError(
                f'{dotted(place)}: {value["type"]} is part of {PACKAGE}, so a plain '
                f'{task.library} config cannot have it; change the config of the distiller'
            )
        note = f'{name} is part of {PACKAGE}; {dataset["type"]}, which it extends, replaces it.'
        if note not in notes:
            notes.append(note)
        return value | dataset

    return replace(cfg, stock)


def _registered(scope: str) -> Iterator[str]:
    """Yield the names that this package adds to a library's registries, and to MMEngine's."""
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
    """Return a model's state dict, which knows its modules' versions, with a checkpoint's weights.

    EMAHook puts the averaged weights into ``state_dict`` and the others into ``ema_state_dict``.
    """
    init_default_scope(task.scope)
    # A ConfigDict, as the runner has it: two-stage detectors read `train_cfg.rpn` as an attribute.
    # A copy: models write into the config that they are built from.
    state_dict = task.models.build(ConfigDict(deepcopy(model))).state_dict()
    weights = student_part(saved)
    check_fits(weights, state_dict, str(checkpoint), f'the student of {config}')
    state_dict.update(weights)
    return state_dict


def _without_numpy(value: Any) -> Any:
    """Return a value without NumPy's types, which torch's own loader of weights refuses."""
    return apply_to(
        value, lambda inner: isinstance(inner, (np.ndarray, np.generic)), lambda x: x.tolist()
    )
