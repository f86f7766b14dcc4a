"""The plain configs that a recipe is made of: reading them, and refusing what could not work."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

from .pipelines import LOADERS, kind, packing_pipelines
from .schedule import training_length

NEEDED = ('model', 'train_dataloader', 'val_dataloader', 'train_cfg')


@dataclass(frozen=True)
class Given:
    """A config that a recipe inherits.

    Args:
        name: What the user calls it.
        base: What the files of the recipe say as ``_base_``.
        cfg: What it says, without the scope 'mmdet' that MMEngine notes in inherited dicts.
    """

    name: str
    base: str
    cfg: ConfigDict


def read(name: str, out: Path) -> Given:
    """Read and check a config that files in ``out`` will inherit.

    Args:
        name: A file or ``mmdet::…``.
        out: The recipe's folder.

    Raises:
        FileNotFoundError: It, or a file that it inherits, is not there.
        ValueError: It cannot be read, it is not the config of a plain detector's training, or
            nothing is packed.
    """
    stock = name.startswith('mmdet::')
    if not stock and not Path(name).is_file():
        raise FileNotFoundError(f'no config file at {Path(name).absolute()}')
    base = name if stock else _path_from(out, Path(name))
    given = Given(name, base, _plain(_load(name, get_config if stock else Config.fromfile)))
    _check(given)
    return given


def check_same_classes(student: Given, teacher: Given) -> None:
    """Compare the names of the classes, where they are known, and how many the heads tell apart.

    Raises:
        ValueError: They differ.
    """
    must = 'student and teacher must have the same classes in the same order, but'
    own, other = _class_names(student.cfg), _class_names(teacher.cfg)
    if own and other and own != other:
        pairs = enumerate(zip(own, other), 1)
        first = (f', and number {at} is {a!r} and {b!r}' for at, (a, b) in pairs if a != b)
        raise ValueError(
            f'{must} {student.name} has {len(own)}, {teacher.name} has {len(other)}'
            + next(first, '')
        )
    own, other = _num_classes(student.cfg), _num_classes(teacher.cfg)
    if own and other and own != other:
        raise ValueError(
            f'{must} {student.name} has num_classes={own}, {teacher.name} num_classes={other}'
        )


def _load(name: str, read: Callable[[str], Config]) -> Config:
    try:
        return read(name)
    except OSError as error:
        raise FileNotFoundError(f'no config {name}, or not all that it inherits: {error}') from None
    except Exception as error:  # a config is a program
        raise ValueError(f'{name} cannot be read: {type(error).__name__}: {error}') from error


def _plain(cfg: Config) -> ConfigDict:
    return ConfigDict(_without_scope(cfg.to_dict()))


def _without_scope(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_scope(inner)
            for key, inner in value.items()
            if (key, inner) not in (('_scope_', 'mmdet'), ('_scope_', None))
        }
    if isinstance(value, (list, tuple)):
        return type(value)(map(_without_scope, value))
    return value


def _path_from(out: Path, file: Path) -> str:
    """Relative where both lie in one tree, so that the tree may be moved."""
    out, file = out.resolve(), file.resolve()
    if os.path.commonpath([out, file]) == file.anchor:
        return file.as_posix()
    return Path(os.path.relpath(file, out)).as_posix()


def _check(given: Given) -> None:
    missing = [key for key in NEEDED if not given.cfg.get(key)]
    if missing:
        raise ValueError(
            f'{given.name} has no {", ".join(missing)}: name the config of a whole training'
        )
    model = given.cfg.model
    if not isinstance(model.get('type'), str):
        raise ValueError(
            f'{given.name} is written with read_base(), which files with _base_ cannot inherit: '
            'name the config of the same detector that is written with _base_'
        )
    if 'student' in model or model.type == 'AFPDetector':
        raise ValueError(f'{given.name} is a distilled detector: name the config of a plain one')
    training_length(given.cfg)
    for loader in LOADERS:
        if given.cfg.get(loader):
            _check_pipelines(given, loader)


def _check_pipelines(given: Given, loader: str) -> None:
    pipelines = list(packing_pipelines(given.cfg[loader]))
    if not pipelines:
        raise ValueError(
            f'{given.name}: {loader} has no pipeline with the packing transform PackDetInputs, '
            'before which the views are made'
        )
    if any(kind(transform) == 'LowResolution' for one in pipelines for transform in one):
        raise ValueError(
            f'{given.name}: {loader} has a LowResolution already; name the config of the detector '
            'on the large image'
        )


def _class_names(cfg: ConfigDict) -> tuple[str, ...]:
    """Of the training set: what the config says, or the dataset's class; empty if neither does."""
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    said = (dataset.get('metainfo') or {}).get('classes')
    return tuple(said or getattr(DATASETS.get(dataset.type), 'METAINFO', {}).get('classes', ()))


def _num_classes(cfg: ConfigDict) -> set[int]:
    heads = cfg.model.get('bbox_head') or cfg.model.get('roi_head', {}).get('bbox_head') or []
    heads = heads if isinstance(heads, list) else [heads]
    return {head['num_classes'] for head in heads if 'num_classes' in head}
