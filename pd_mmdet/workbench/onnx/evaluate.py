"""Evaluate an ONNX file as a config evaluates its model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..configs import Place, replace
from ..deployed_data import is_low_resolution
from ..tasks import task_of


def with_file(cfg: Config, file: Path, threads: int = 0) -> Config:
    """Put an ONNX file into the place of a config's model.

    What the model's pipeline enlarges, the file enlarges.

    Args:
        cfg: Config of the student; not changed.
        file: Its ONNX file.
        threads: Number of threads; 0: all.

    Raises:
        FileNotFoundError: There is no such file.
    """
    from . import runtime  # noqa: F401  registers what the config names

    if not file.is_file():
        raise FileNotFoundError(f'no ONNX file at {file.absolute()}')
    kind = 'OnnxDetector' if task_of(cfg).scope == 'mmdet' else 'OnnxClassifier'
    said = replace(copy.deepcopy(cfg.to_dict()), _not_enlarging)
    said.pop('data_preprocessor', None)  # that of the model
    said |= dict(model=dict(type=kind, file=str(file.absolute()), threads=threads), load_from=None)
    return Config(said, format_python_code=False)  # formatting takes seconds


def _not_enlarging(_: Place, value: Any) -> Any:
    """Let ``LowResolution`` leave small images small, also those below the student's stride."""
    return value | dict(enlarge=1, min_side=1) if is_low_resolution(value) else value
