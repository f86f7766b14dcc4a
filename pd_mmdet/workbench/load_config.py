"""Read a config with the overrides of a command line, and refuse what cannot work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from .configs import Place, dotted, innermost_datasets, walk

OPTIONS = {
    *signature(Runner.__init__).parameters,
    # Read from the config by name: by the runner …
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    # … and by the tools.
    'runner_type',
    'tta_model',
    'tta_pipeline',
} - {'self', 'cfg'}
"""Top-level keys of a config that have an effect; any other is a variable of the file."""


def load_config(
    path: str | os.PathLike,
    cfg_options: dict[str, Any] | None = None,
    splits: Sequence[str] = ('train', 'val', 'test'),
) -> Config:
    """Read a config file, apply overrides, and check that its data exist.

    Args:
        path: The config file.
        cfg_options: Dotted keys and their values, as ``--cfg-options`` gives them.
        splits: Splits whose data must exist: ``'train'``, ``'val'``, ``'test'``.

    Raises:
        FileNotFoundError: The config, or an annotation file or folder of a dataset, does not
            exist. A top-level string ``data_hint`` in the config says how to get the data.
        ValueError: An override would have no effect. MMEngine inserts the value of a variable
            where it is used while it reads the file, so overriding a variable changes nothing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no config file at {path.absolute()}' + _configs_inside(path))
    return complete_config(Config.fromfile(path), cfg_options, splits)


def complete_config(
    cfg: Config,
    cfg_options: dict[str, Any] | None = None,
    splits: Sequence[str] = ('train', 'val', 'test'),
) -> Config:
    """Apply overrides to a config, and check that its data exist.

    Args:
        cfg: The config; changed in place.
        cfg_options: As for :func:`load_config`.
        splits: As for :func:`load_config`.

    Returns:
        The same config.

    Raises:
        FileNotFoundError: As :func:`load_config`.
        ValueError: As :func:`load_config`.
    """
    for key, value in (cfg_options or {}).items():
        _check_override(cfg, key, value)
    cfg.merge_from_dict(cfg_options or {})
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            place = (f'{split}_dataloader', 'dataset')
            for inner, dataset in innermost_datasets(loader['dataset'], place):
                _check_files(dataset, inner, cfg.get('data_hint'))
    return cfg


def _configs_inside(path: Path) -> str:
    names = ', '.join(sorted(file.name for file in path.glob('*.py')))
    return f'; it is a folder that has {names}' if names else ''


def _check_override(cfg: Config, key: str, value: Any) -> None:
    """Refuse an override that has no effect, and say what has."""
    name = key.partition('.')[0]
    if name in OPTIONS:
        return
    message = f'--cfg-options {key}={value!r} would have no effect: '
    if name not in cfg:
        raise ValueError(message + f'neither the config nor the runner has an option {name!r}')
    file, statement = _assignment(cfg, name)
    ways = [f'change it in {file}']
    uses = [
        dotted(place)
        for option in OPTIONS & cfg.keys()
        for place, inner in walk(cfg[option], (option,))
        if inner == cfg[name] and _comes_from(place, inner, name)
    ]
    if uses:
        ways.insert(0, f'override {" and ".join(sorted(uses))}')
    variable = re.search(r'\{\{\W*\$(\w+)', statement)
    if variable:
        ways.insert(0, f'set the environment variable {variable[1]}')
    message += f'{name!r} is a variable of the config, whose value has been inserted already; '
    raise ValueError(message + ', or '.join(ways) + ' instead')


def _assignment(cfg: Config, name: str) -> tuple[str, str]:
    """Return the file that sets a top-level variable, and the statement that does.

    ``cfg.text`` has every file, base configs first, each after a line with its path.
    """
    statements = list(re.finditer(rf'^{name}\s*=.*(?:\n[ \t)\]].*)*', cfg.text, re.MULTILINE))
    if not statements:
        return cfg.filename, ''
    before = cfg.text[: statements[-1].start()].splitlines()
    files = [line for line in before if line.endswith('.py') and os.path.isfile(line)]
    return [cfg.filename, *files][-1], statements[-1][0]


def _comes_from(place: Place, value: Any, name: str) -> bool:
    """Return whether a value that equals a variable's comes from that variable.

    Numbers, flags and None are too common to tell by their value: their key must be the name.
    """
    return place[-1] == name or isinstance(value, (str, list, tuple, dict))


def _check_files(dataset: dict, place: Place, hint: str | None) -> None:
    """Check that the files and folders of a dataset exist.

    Raises:
        FileNotFoundError: One does not.
    """
    if dataset.get('backend_args'):  # the files are not on this disk
        return
    for option, path in _paths(dataset):
        if not (os.path.exists(path) or '://' in path):
            raise FileNotFoundError(
                f'{dotted(place)}.{option}: {os.path.abspath(path)} does not exist; '
                + (hint or f'put the data there, or set {dotted(place)}.data_root')
            )


def _paths(dataset: dict) -> Iterator[tuple[str, str]]:
    """Yield options of a dataset that name a file or folder, and its path as MMEngine joins it."""
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    if isinstance(prefix, str):
        prefix = {'': prefix}
    options = {
        'data_root': '',
        'ann_file': dataset.get('ann_file'),
        **{f'data_prefix.{name}'.rstrip('.'): path for name, path in prefix.items()},
    }
    for option, path in options.items():
        if isinstance(path, str) and (root or path):
            yield option, os.path.join(root, path)
