"""The tasks that the commands serve: detection, and classification."""

from __future__ import annotations

from mmengine.config import Config

from .task import Task

__all__ = ['SCOPES', 'Task', 'task_of']

SCOPES = ('mmdet', 'mmpretrain')
"""Values of ``default_scope`` that are served: detection and classification."""


def task_of(cfg: Config) -> Task:
    """Return the task of a config, by its ``default_scope``; without one it is detection.

    Raises:
        ModuleNotFoundError: The config is of MMPretrain, which is not installed.
        ValueError: The scope is none of ``SCOPES``.
    """
    scope = cfg.get('default_scope') or 'mmdet'
    if scope == 'mmdet':
        from .detection import DETECTION

        return DETECTION
    if scope == 'mmpretrain':
        return _classification()
    served = ' (detection) and '.join(map(repr, SCOPES)) + ' (classification)'
    raise ValueError(f'default_scope = {scope!r} is not served: {served} are')


def _classification() -> Task:
    """Import classification, which needs MMPretrain, only when a config asks for it."""
    try:
        from .classification import CLASSIFICATION
    except ModuleNotFoundError as error:
        if error.name != 'mmpretrain':
            raise
        raise ModuleNotFoundError(
            "default_scope = 'mmpretrain' needs MMPretrain, which is not installed: "
            "pip install onedl-mmpretrain==1.3.6, or this package's extra 'cls'",
            name=error.name,
        ) from None
    return CLASSIFICATION
