"""Reading a config with the overrides of a command line, and refusing what could not work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

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
"""The top-level keys of a config that do something; any other is a variable of the file."""


def load_config(
    path: str | os.PathLike,
    cfg_options: dict[str, Any] | None = None,
    splits: Sequence[str] = ('train', 'val', 'test'),
) -> Config:
    """Read a config file, override what the command line says, and look for its datasets.

    Args:
        path: The config file.
        cfg_options: Dotted keys and their values, as ``--cfg-options`` gives them.
        splits: Whose dataloaders' files must be there.

    Raises:
        FileNotFoundError: The config, or an annotation file or folder of a dataset, is missing.
            A top-level string ``data_hint`` in the config says how to get the data.
        ValueError: An override sets a variable that nothing reads. MMEngine puts a variable's
            value where it is used while it reads the file, so a later override changes nothing.
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
    """Override in a config what the command line says, and look for its datasets.

    Args:
        cfg: The config, which is changed and returned.
        cfg_options: As for :func:`load_config`.
        splits: As for :func:`load_config`.

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
            _check_datasets(loader['dataset'], f'{split}_dataloader.dataset', cfg.get('data_hint'))
    return cfg


def _configs_inside(path: Path) -> str:
    names = ', '.join(sorted(file.name for file in path.glob('*.py')))
    return f'; it is a folder with {names}' if names else ''


def _check_override(cfg: Config, key: str, value: Any) -> None:
    name = key.partition('.')[0]
    if name in OPTIONS:
        return
    message = f'--cfg-options {key}={value!r} would change nothing: '
    if name not in cfg:
        raise ValueError(message + f'neither the config nor the runner knows {name!r}')
    file, statement = _assignment(cfg, name)
    ways = [f'change it in {file}']
    uses = [use for option in OPTIONS & cfg.keys() for use in _uses(cfg, option, name, cfg[name])]
    if uses:
        ways.insert(0, f'override {" and ".join(sorted(uses))}')
    variable = re.search(r'\{\{\W*\$(\w+)', statement)
    if variable:
        ways.insert(0, f'set the environment variable {variable[1]}')
    message += f'the variable {name!r} of the config has already been put in where it is used; '
    raise ValueError(message + ', or '.join(ways) + ' instead')


def _assignment(cfg: Config, name: str) -> tuple[str, str]:
    """The file that gives a top-level variable its value, and the text that does.

    ``cfg.text`` is every file, base configs first, each after a line with its path.
    """
    statements = list(re.finditer(rf'^{name}\s*=.*(?:\n[ \t)\]].*)*', cfg.text, re.MULTILINE))
    if not statements:
        return cfg.filename, ''
    before = cfg.text[: statements[-1].start()].splitlines()
    files = [line for line in before if line.endswith('.py') and os.path.isfile(line)]
    return [cfg.filename, *files][-1], statements[-1][0]


def _uses(node: Any, key: str | int, name: str, value: Any, path: str = '') -> Iterator[str]:
    """Dotted paths at or under ``node[key]`` that hold a variable's value.

    Numbers, flags and None are too common to tell by their value: these must have its name too.
    """
    child, path = node[key], f'{path}.{key}'.lstrip('.')
    if child == value and (key == name or isinstance(value, (str, list, tuple, dict))):
        yield path
    elif isinstance(child, dict):
        for inner in child:
            yield from _uses(child, inner, name, value, path)
    elif isinstance(child, (list, tuple)):
        for inner in range(len(child)):
            yield from _uses(child, inner, name, value, path)


def _check_datasets(dataset: dict, path: str, hint: str | None) -> None:
    """Look for the files of a dataset, or of those inside a wrapper."""
    if 'dataset' in dataset:
        _check_datasets(dataset['dataset'], f'{path}.dataset', hint)
    elif 'datasets' in dataset:
        for index, inner in enumerate(dataset['datasets']):
            _check_datasets(inner, f'{path}.datasets.{index}', hint)
    elif not dataset.get('backend_args'):  # else the files are not on this disk
        for option, place in _places(dataset):
            if not (os.path.exists(place) or '://' in place):
                raise FileNotFoundError(
                    f'{path}.{option}: nothing at {os.path.abspath(place)}; '
                    + (hint or f'put the data there, or set {path}.data_root')
                )


def _places(dataset: dict) -> Iterator[tuple[str, str]]:
    """Options of a dataset that name a file or folder, and where it is, as MMEngine joins them."""
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    if isinstance(prefix, str):
        prefix = {'': prefix}
    options = {
        'data_root': '',
        'ann_file': dataset.get('ann_file'),
        **{f'data_prefix.{name}'.rstrip('.'): place for name, place in prefix.items()},
    }
    for option, place in options.items():
        if isinstance(place, str) and (root or place):
            yield option, os.path.join(root, place)
