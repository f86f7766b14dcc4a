"""Build a config of the zoo as student and assistant, and check their invariants."""

from __future__ import annotations

import gc
import warnings
from fractions import Fraction
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.logging import MMLogger

from ...cpu_operators import cpu_operators
from ..invariants import CHECKS, Pair
from .configs import annotations_of, light, read_config
from .pipelines import check_pipelines
from .stand_ins import stand_ins

CELLS = 2


class Verdict(NamedTuple):
    """The result of a check.

    Args:
        config: The config.
        status: ``'aligned'``, ``'refused'``, ``'cannot predict'`` (it is aligned, but the plain
            detector's prediction fails in MMDetection), ``'broken'`` (MMDetection cannot build it)
            or ``'fails'``.
        reason: Why it is not aligned.
        cells: Why its head cannot have sub-cells; '' if it can, None if that was not tried.
    """

    config: str
    status: str
    reason: str = ''
    cells: str | None = None


def prepare_process() -> None:
    """Prepare a process for :func:`check_config`: quiet, and on one core."""
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    MMLogger.get_instance('mmengine', log_level='ERROR')
    register_all_modules()
    gc.freeze()  # building a dataset collects garbage, which is slow with all imported objects


def check_config(name: str, ratio: Fraction) -> Verdict:
    """Build a config of the zoo and its assistant, check invariants 1 to 4, and predict.

    The config's pipelines are tried, too, with ``LowResolution`` in them. A config that is aligned
    is checked with sub-cells, too.
    """
    try:
        cfg = read_config(name)
    except ImportError as error:
        return Verdict(name, 'broken', _first_line(error))
    model_cfg = light(cfg.model)
    try:
        annotations = annotations_of(cfg)
        pair = Pair.build(model_cfg, ratio, annotations)
    except NotImplementedError as error:
        return Verdict(name, 'refused', str(error).partition(': ')[2])
    except Exception as error:
        status = 'fails' if _is_built(model_cfg) else 'broken'
        return Verdict(name, status, _first_line(error))
    try:
        check_pipelines(cfg, annotations, ratio)
    except ValueError as error:
        return Verdict(name, 'fails', f'stock pipelines: {_first_line(error)}')
    failure = _failure(pair)
    if failure:
        return Verdict(name, 'fails', failure)
    try:
        with cpu_operators():
            pair.read(pair.student, pair.odd_shapes, Fraction(1))
    except Exception as error:
        reason = f"AFP aligns it, but MMDetection's own prediction ends in {_first_line(error)}"
        return Verdict(name, 'cannot predict', reason)
    if ratio < CELLS:
        return Verdict(name, 'aligned')
    try:
        divided = dict(type='SubCellDetector', detector=model_cfg, cells=CELLS)
        pair = Pair.build(divided, ratio, annotations)
    except NotImplementedError as error:
        return Verdict(name, 'aligned', cells=str(error).partition(': ')[2])
    failure = _failure(pair)
    if failure:
        return Verdict(name, 'fails', f'with sub-cells: {failure}')
    return Verdict(name, 'aligned', cells='')


def _failure(pair: Pair) -> str:
    """Check the invariants; return the first failure, or ''."""
    for number, check in CHECKS:
        try:
            with stand_ins():
                check(pair)
        except Exception as error:
            return f'invariant {number}: {_first_line(error)}'
    return ''


def _is_built(model_cfg: dict) -> bool:
    try:
        MODELS.build(model_cfg)
    except Exception:
        return False
    return True


def _first_line(error: Exception) -> str:
    """Return the first line of a message, with the type of the error unless a check failed."""
    line = (str(error).splitlines() or [''])[0][:300]
    return line if isinstance(error, AssertionError) and line else f'{type(error).__name__}: {line}'
