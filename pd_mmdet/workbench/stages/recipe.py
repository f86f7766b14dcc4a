"""Finding the config of each stage of a recipe: in its own file, or where another file names it."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.hub import get_config


def read_stage(recipe: Path, name: str) -> Config:
    """Read the config of a stage.

    A file of the stage's name comes first. These need none:

    - ``teacher`` is the config that ``assistant.py`` names as ``model.teacher.cfg``;
    - ``ceiling`` is the config that ``baseline.py`` names in its variable ``ceiling``;
    - ``one_stage`` is ``student.py`` with the teacher and the terms of ``assistant.py``, and with
      the ``load_from`` of ``baseline.py``.

    Args:
        recipe: Folder of the recipe.
        name: Name of the stage: a file of the folder without ``.py``, or one of the above.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: ``assistant.py`` or ``baseline.py`` names no config.
    """
    if (recipe / f'{name}.py').is_file():
        return Config.fromfile(recipe / f'{name}.py')
    if name == 'teacher':
        return _read_named(recipe / 'assistant.py', 'model.teacher.cfg', name)
    if name == 'ceiling':
        return _read_named(recipe / 'baseline.py', 'ceiling', name)
    if name == 'one_stage':
        return _one_stage(recipe)
    raise _missing(recipe / f'{name}.py')


def _read_named(file: Path, key: str, stage: str) -> Config:
    """Read the config that a file of the recipe names under a dotted key."""
    named = _read(file)
    for part in key.split('.'):
        named = (named or {}).get(part)
    if not isinstance(named, str):
        raise ValueError(
            f'{file}: {key} is {named!r}, which names no config for the stage {stage}: write the '
            f'path of a config there, mmdet::… or mmpretrain::…, or add {stage}.py to the recipe'
        )
    if '::' in named:
        return get_config(named)
    if not Path(named).is_file():
        raise FileNotFoundError(f'{file}: {key}: no config file at {Path(named).absolute()}')
    return Config.fromfile(Path(named).resolve())


def _one_stage(recipe: Path) -> Config:
    student, assistant, baseline = (
        _read(recipe / f'{name}.py') for name in ('student', 'assistant', 'baseline')
    )
    for key in ('teacher', 'terms'):
        student.model[key] = assistant.model[key]
    student.load_from = baseline.get('load_from')
    return student


def _read(file: Path) -> Config:
    if not file.is_file():
        raise _missing(file)
    return Config.fromfile(file)


def _missing(file: Path) -> FileNotFoundError:
    if not file.parent.is_dir():
        return FileNotFoundError(f'no recipe folder at {file.parent.absolute()}')
    present = ', '.join(sorted(other.name for other in file.parent.glob('*.py'))) or 'no configs'
    return FileNotFoundError(f'the recipe {file.parent} has no {file.name}; it has {present}')
