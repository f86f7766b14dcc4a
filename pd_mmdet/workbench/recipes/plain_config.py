"""Reading the plain configs that a recipe is made of, and refusing what could not work."""

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
class PlainConfig:
    """A config of a plain detector or classifier that a recipe names or inherits.

    Args:
        name: What the user calls it.
        base: What the files of the recipe say as ``_base_``.
        cfg: Its content, without its own scope, which MMEngine notes in inherited dicts.
        copy: Stage whose file in the recipe is a copy of the config, and ``base``: only where
            files cannot inherit the config itself.
    """

    name: str
    base: str
    cfg: ConfigDict
    copy: str | None = None

    @property
    def task(self) -> Task:
        """Its task."""
        return task_of(self.cfg)

    @property
    def place(self) -> str:
        """Path of the config in a file of the recipe that names it, wherever that is read."""
        if '::' in self.base or Path(self.base).is_absolute():
            return self.base
        return f'{{{{ fileDirname }}}}/{self.base.removeprefix("./")}'


def read(name: str, stage: str, out: Path) -> PlainConfig:
    """Read and check a config that files in ``out`` will name or inherit.

    Args:
        name: A file, ``mmdet::…`` or ``mmpretrain::…``.
        stage: The stage that trains it: ``'teacher'`` or ``'ceiling'``.
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
        copy = stage
        base, cfg = f'./{copy}.py', _load(name, partial(with_names, cfg))
    plain = PlainConfig(name, base, _without_scope(cfg), copy)
    _check(plain)
    return plain


def check_same_task(student: PlainConfig, teacher: PlainConfig) -> None:
    """Refuse a detector and a classifier.

    Raises:
        ValueError: They are of two tasks.
    """
    if student.task is not teacher.task:
        raise ValueError(
            f'student and teacher must be of one task, but {student.name} is a '
            f'{student.task.kind}, {teacher.name} a {teacher.task.kind}'
        )


def check_same_classes(student: PlainConfig, teacher: PlainConfig) -> None:
    """Compare the names of the classes, where they are known, and how many the heads tell apart.

    Raises:
        ValueError: They differ.
    """
    must = 'student and teacher must have the same classes in the same order, but'
    names = _class_names(student.cfg), _class_names(teacher.cfg)
    if all(names) and names[0] != names[1]:
        pairs = enumerate(zip(*names), 1)
        first = (f', and number {at} is {a!r} and {b!r}' for at, (a, b) in pairs if a != b)
        raise ValueError(
            f'{must} {student.name} has {len(names[0])}, {teacher.name} has {len(names[1])}'
            + next(first, '')
        )
    numbers = _num_classes(student), _num_classes(teacher)
    if all(numbers) and numbers[0] != numbers[1]:
        raise ValueError(
            f'{must} {student.name} has num_classes={numbers[0]}, '
            f'{teacher.name} num_classes={numbers[1]}'
        )


def _load(name: str, read: Callable[[], Config]) -> Config:
    try:
        return read()
    except OSError as error:
        raise FileNotFoundError(f'no config {name}, or not all that it inherits: {error}') from None
    except Exception as error:  # a config is a program
        raise ValueError(f'{name} cannot be read: {type(error).__name__}: {error}') from error


def _without_scope(cfg: Config) -> ConfigDict:
    """Return the data of a config without its scope, which MMEngine notes in inherited dicts."""

    def plain(_: Place, value: Any) -> Any:
        if isinstance(value, dict) and value.get('_scope_') in (task_of(cfg).scope, None):
            return {key: inner for key, inner in value.items() if key != '_scope_'}
        return value

    return ConfigDict(replace(cfg.to_dict(), plain))


def _path_from(out: Path, file: Path) -> str:
    """Return the path of a file, relative where both lie in one tree, which then may be moved."""
    out, file = out.resolve(), file.resolve()
    if os.path.commonpath([out, file]) == file.anchor:
        return file.as_posix()
    return Path(os.path.relpath(file, out)).as_posix()


def _check(plain: PlainConfig) -> None:
    missing = [key for key in NEEDED if not plain.cfg.get(key)]
    if missing:
        raise ValueError(
            f'{plain.name} has no {", ".join(missing)}: name the config of a whole training'
        )
    model = plain.cfg.model
    if 'student' in model or model.get('type') == plain.task.assistant:
        kind = plain.task.kind
        raise ValueError(f'{plain.name} is a distilled {kind}: name the config of a plain one')
    training_length(plain.cfg)
    for loader in LOADERS:
        if plain.cfg.get(loader):
            _check_pipelines(plain, loader)


def _check_pipelines(plain: PlainConfig, loader: str) -> None:
    pipelines = list(packing_pipelines(plain.cfg[loader]))
    if not pipelines:
        raise ValueError(
            f'{plain.name}: {loader} has no pipeline with the packing transform '
            f'{plain.task.packing}, before which the views are made'
        )
    if any(kind(step) == 'LowResolution' for pipeline in pipelines for step in pipeline):
        raise ValueError(
            f'{plain.name}: {loader} has a LowResolution already; name the config of the '
            f'{plain.task.kind} on the large image'
        )


def _class_names(cfg: ConfigDict) -> tuple[str, ...]:
    """Return the classes of the training set, as the config or the dataset's class says them.

    Empty if neither does.
    """
    dataset = cfg.train_dataloader.dataset
    _, dataset = next(innermost_datasets(dataset))
    # MMPretrain's datasets may have them beside the metainfo, or there the name of a file.
    classes = (dataset.get('metainfo') or {}).get('classes') or dataset.get('classes') or ()
    stock = getattr(task_of(cfg).datasets.get(dataset.type), 'METAINFO', {}).get('classes', ())
    return () if isinstance(classes, str) else tuple(classes or stock)


def _num_classes(plain: PlainConfig) -> set[int]:
    heads = plain.task.heads(plain.cfg.model)
    return {head['num_classes'] for head in heads if 'num_classes' in head}
