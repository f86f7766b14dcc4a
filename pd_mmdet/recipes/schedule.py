"""How long a stage trains, and the same schedule made longer."""

from __future__ import annotations

import copy
from fractions import Fraction

from mmengine.config import Config

LENGTHS = {'max_iters': 'iterations', 'max_epochs': 'epochs'}
"""The option of ``train_cfg`` that says how long, and its unit."""

# What changes by iterations or epochs in these is all in the four keys below.
STRETCHABLE = (
    'ConstantLR',
    'CosineAnnealingLR',
    'LinearLR',
    'MultiStepLR',
    'PolyLR',
    'QuadraticWarmupLR',
)
TIMES = ('begin', 'end', 'milestones', 'T_max')


def training_length(cfg: Config) -> tuple[int, str]:
    """How long a config trains: a number, and ``'iterations'`` or ``'epochs'``.

    Raises:
        ValueError: ``train_cfg`` has neither ``max_iters`` nor ``max_epochs``.
    """
    for option, unit in LENGTHS.items():
        if option in cfg.train_cfg:
            return cfg.train_cfg[option], unit
    raise ValueError(f'train_cfg={cfg.train_cfg} says neither max_iters nor max_epochs')


def stretch_schedule(cfg: Config, factor: float | Fraction) -> Config:
    """A copy of a config that trains ``factor`` times as long.

    Every scheduler's ``begin``, ``end``, ``milestones`` and ``T_max`` are scaled. A warm-up
    (one that rises from the start) stays as it is, and so does a beginning at its end.

    Raises:
        ValueError: A scheduler's type is none of ``STRETCHABLE``.
    """
    cfg = copy.deepcopy(cfg)
    length, unit = training_length(cfg)
    option = next(option for option in LENGTHS if LENGTHS[option] == unit)
    cfg.train_cfg[option] = round(length * factor)
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    for scheduler in schedulers:
        if scheduler.get('type') not in STRETCHABLE:
            raise ValueError(
                f'cannot stretch the schedule: param_scheduler has {scheduler}; '
                f'known are {", ".join(STRETCHABLE)}'
            )
    warm_ups = [scheduler for scheduler in schedulers if _is_warm_up(scheduler)]
    kept = {(warm_up.get('by_epoch', True), warm_up.get('end')) for warm_up in warm_ups}
    for scheduler in schedulers:
        if not _is_warm_up(scheduler):
            begins_there = (scheduler.get('by_epoch', True), scheduler.get('begin', 0)) in kept
            _stretch(scheduler, factor, begins_there)
    return cfg


def _is_warm_up(scheduler: dict) -> bool:
    rises = scheduler['type'] == 'QuadraticWarmupLR' or (
        scheduler['type'] == 'LinearLR'
        and scheduler.get('start_factor', 1 / 3) < scheduler.get('end_factor', 1.0)
    )
    return rises and scheduler.get('begin', 0) == 0


def _stretch(scheduler: dict, factor: float | Fraction, keep_begin: bool) -> None:
    begin, end = scheduler.get('begin', 0), scheduler.get('end')
    fills = end is not None and scheduler.get('T_max') == end - begin
    for key in TIMES:
        value = scheduler.get(key)
        if isinstance(value, (list, tuple)):
            scheduler[key] = [round(time * factor) for time in value]
        elif value is not None and not (key == 'begin' and keep_begin):
            scheduler[key] = round(value * factor)
    if fills:  # one half-wave from begin to end, also where begin was kept
        scheduler['T_max'] = scheduler['end'] - scheduler.get('begin', 0)
