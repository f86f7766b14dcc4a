"""Pixel distillation for MMDetection: detectors for small images."""

from . import afp, data_preprocessor, datasets, distillers, hooks, losses, transforms  # noqa: F401
from .version import __version__

__all__ = ['__version__']
