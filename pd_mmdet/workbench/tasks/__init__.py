"""What the tools do for detectors, and what for classifiers: a module for each."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mmengine.config import Config

MODULES = dict(mmdet='detection', mmpretrain='classification')
"""The scopes that are served, and the module of this package that serves each."""


def task_of(cfg: Config) -> ModuleType:
    """The module of a config's task, by its ``default_scope``: MMDetection's if it says none.

    Raises:
        ModuleNotFoundError: The config is of MMPretrain, which is not installed.
        ValueError: The scope is another than those of ``MODULES``.
    """
    scope = cfg.get('default_scope') or 'mmdet'
    if scope not in MODULES:
        served = ' (detection) and '.join(map(repr, MODULES)) + ' (classification)'
        raise ValueError(f'default_scope = {scope!r} is not served: {served} are')
    try:
        return import_module(f'.{MODULES[scope]}', __name__)
    except ModuleNotFoundError as error:
        if error.name != 'mmpretrain':
            raise
        raise ModuleNotFoundError(
            f'default_scope = {scope!r} needs MMPretrain, which is not installed: '
            "pip install onedl-mmpretrain==1.3.6, or this package's extra 'cls'",
            name=error.name,
        ) from None
