"""The plain configs that a recipe is made of: reading them, and refusing what could not work."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

from ..configs import Place, innermost_datasets, replace
from ..stages.schedule import training_length
from ..tasks import SCOPES, Task, task_of
from .pipelines import LOADERS, kind, packing_pipelines
from .python_config import is_python, with_names

NEEDED = ('model', 'train_dataloader', 'val_dataloader', 'train_cfg')


@dataclass(frozen=True)
class Given:
    """A config that a recipe inherits.

    Args:
        name: What the user calls it.
        base: What the files of the recipe say as ``_base_``.
        cfg: What it says, without its own scope, which MMEngine notes in inherited dicts.
        copy: Where files cannot inherit the given one: the name of the recipe's own file that
            says the same, and is ``base``.
    """

    name: str
    base: str
    cfg: ConfigDict
    copy: str | None = None

    @property
    def task(self) -> Task:
        """Its task."""
        return task_of(self.cfg)


def read(name: str, side: str, out: Path) -> Given:
    """Read and check a config that files in ``out`` will inherit.

    Args:
        name: A file, ``mmdet::…`` or ``mmpretrain::…``.
        side: ``'student'`` or ``'teacher'``.
        out: The recipe's folder.

    Raises:
        FileNotFoundError: It, or a file that it inherits, is not there.
        ModuleNotFoundError: It is of MMPretrain, which is not installed.
        ValueError: It cannot be read, it is not the config of a plain model's training, or
            nothing is packed.
    """
    stock = name.startswith(tuple(f'{scope}::' for scope in SCOPES))
    if not stock and not Path(name).is_file():
        raise FileNotFoundError(f'no config file at {Path(name).absolute()}')
    base, copy = name if stock else _path_from(out, Path(name)), None
    cfg = _load(name, partial(get_config if stock else Config.fromfile, name))
    if is_python(cfg):
        copy = f'{side}_base'
        base, cfg = f'./{copy}.py', _load(name, partial(with_names, cfg))
    given = Given(name, base, _plain(cfg), copy)
    _check(given)
    return given


def check_same_task(student: Given, teacher: Given) -> None:
    """Refuse a detector and a classifier.

    Raises:
        ValueError: They are of two tasks.
    """
    if student.task is not teacher.task:
        raise ValueError(
            f'student and teacher must be of one task, but {student.name} is a '
            f'{student.task.kind}, {teacher.name} a {teacher.task.kind}'
        )


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
    own, other = _num_classes(student), _num_classes(teacher)
    if own and other and own != other:
        raise ValueError(
            f'{must} {student.name} has num_classes={own}, {teacher.name} num_classes={other}'
        )


def _load(name: str, read: Callable[[], Config]) -> Config:
    try:
        return read()
    except OSError as error:
        raise FileNotFoundError(f'no config {name}, or not all that it inherits: {error}') from None
    except Exception as error:  # a config is a program
        raise ValueError(f'{name} cannot be read: {type(error).__name__}: {error}') from error


def _plain(cfg: Config) -> ConfigDict:
    def without_scope(_: Place, value: Any) -> Any:
        if isinstance(value, dict) and value.get('_scope_') in (task_of(cfg).scope, None):
            return {key: inner for key, inner in value.items() if key != '_scope_'}
        return value

    return ConfigDict(replace(cfg.to_dict(), without_scope))


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
    if 'student' in model or model.get('type') == given.task.assistant:
        kind = given.task.kind
        raise ValueError(f'{given.name} is a distilled {kind}: name the config of a plain one')
    training_length(given.cfg)
    for loader in LOADERS:
        if given.cfg.get(loader):
            _check_pipelines(given, loader)


def _check_pipelines(given: Given, loader: str) -> None:
    pipelines = list(packing_pipelines(given.cfg[loader]))
    if not pipelines:
        raise ValueError(
            f'{given.name}: {loader} has no pipeline with the packing transform '
            f'{given.task.packing}, before which the views are made'
        )
    if any(kind(transform) == 'LowResolution' for one in pipelines for transform in one):
        raise ValueError(
            f'{given.name}: {loader} has a LowResolution already; name the config of the '
            f'{given.task.kind} on the large image'
        )


def _class_names(cfg: ConfigDict) -> tuple[str, ...]:
    """Of the training set: what the config says, or the dataset's class; empty if neither does."""
    dataset = cfg.train_dataloader.dataset
    _, dataset = next(innermost_datasets(dataset))
    # MMPretrain's datasets may have them beside the metainfo, or there the name of a file.
    said = (dataset.get('metainfo') or {}).get('classes') or dataset.get('classes') or ()
    stock = getattr(task_of(cfg).datasets.get(dataset.type), 'METAINFO', {}).get('classes', ())
    return () if isinstance(said, str) else tuple(said or stock)


def _num_classes(given: Given) -> set[int]:
    heads = given.task.heads(given.cfg.model)
    return {head['num_classes'] for head in heads if 'num_classes' in head}
