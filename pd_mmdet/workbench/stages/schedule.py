"""Tell how long a config trains, and stretch its schedule."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

from mmdet.engine.schedulers.quadratic_warmup import QuadraticWarmupParamScheduler
from mmengine.config import Config
from mmengine.optim.scheduler.param_scheduler import LinearParamScheduler
from mmengine.registry import LOOPS, PARAM_SCHEDULERS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from .config_hooks import class_of, hooks
from .times import TIMES, check_known, is_known, stretch, stretch_model

LENGTHS = {'max_iters': 'iterations', 'max_epochs': 'epochs'}
"""Option of ``train_cfg`` that is the length of the training → its unit."""


def training_length(cfg: Config) -> tuple[int, str]:
    """Return how long a config trains: a number, and ``'iterations'`` or ``'epochs'``.

    Raises:
        ValueError: ``train_cfg`` has neither ``max_iters`` nor ``max_epochs``.
    """
    for option, unit in LENGTHS.items():
        if option in cfg.train_cfg:
            return cfg.train_cfg[option], unit
    raise ValueError(f'train_cfg={cfg.train_cfg} has neither max_iters nor max_epochs')


def stretch_schedule(cfg: Config, factor: float | Fraction) -> Config:
    """Return a copy of a config that trains ``factor`` times as long.

    Points in time of the loop, the schedulers, the hooks and the model (see :data:`.times.TIMES`)
    are multiplied by ``factor``. Intervals stay. A warm-up (a scheduler that rises from the start)
    stays, too, and so does the begin of a scheduler that follows it.

    Raises:
        ValueError: A scheduler, or an option that sounds like a point in time, is not known.
    """
    cfg, factor = copy.deepcopy(cfg), Fraction(factor)
    _stretch_loop(cfg, factor)
    _stretch_schedulers(cfg, factor)
    for hook in hooks(cfg):
        check_known(hook.option, hook.cfg, hook.kind)
        stretch(hook.cfg, hook.kind, factor)
    if cfg.get('model'):
        cfg.model = stretch_model(cfg.model, factor)
    return cfg


def _stretch_loop(cfg: Config, factor: Fraction) -> None:
    loop = cfg.train_cfg
    by_epoch = training_length(cfg)[1] == 'epochs'
    kind = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    if 'type' in loop:
        kind = class_of(cfg, 'train_cfg', loop, LOOPS)
    check_known('train_cfg', loop, kind)
    stretch(loop, kind, factor)
    if loop.get('dynamic_intervals'):
        loop.dynamic_intervals = [
            (round(begin * factor), interval) for begin, interval in loop.dynamic_intervals
        ]


def _stretch_schedulers(cfg: Config, factor: Fraction) -> None:
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    kinds = [
        class_of(cfg, 'param_scheduler', scheduler, PARAM_SCHEDULERS) for scheduler in schedulers
    ]
    for scheduler, kind in zip(schedulers, kinds):
        if not is_known(kind):
            raise ValueError(
                f'cannot stretch the schedule: param_scheduler has {scheduler}; known are '
                + ', '.join(name for name in TIMES if name.endswith('ParamScheduler'))
            )
    warm_ups = [_is_warm_up(scheduler, kind) for scheduler, kind in zip(schedulers, kinds)]
    ends = {_time(scheduler, 'end') for scheduler, warm_up in zip(schedulers, warm_ups) if warm_up}
    for scheduler, kind, warm_up in zip(schedulers, kinds, warm_ups):
        if not warm_up:
            _stretch_scheduler(scheduler, kind, factor, _time(scheduler, 'begin') in ends)


def _is_warm_up(scheduler: dict[str, Any], kind: type) -> bool:
    rises = issubclass(kind, QuadraticWarmupParamScheduler) or (
        issubclass(kind, LinearParamScheduler)
        and scheduler.get('start_factor', 1 / 3) < scheduler.get('end_factor', 1.0)
    )
    return rises and scheduler.get('begin', 0) == 0


def _time(scheduler: dict[str, Any], option: str) -> tuple[bool, int | None]:
    """Return whether a scheduler counts epochs, and one of its points in time."""
    return scheduler.get('by_epoch', True), scheduler.get(option, 0)


def _stretch_scheduler(
    scheduler: dict[str, Any], kind: type, factor: Fraction, keep_begin: bool
) -> None:
    begin, end = scheduler.get('begin', 0), scheduler.get('end')
    fills = end is not None and scheduler.get('T_max') == end - begin
    stretch(scheduler, kind, factor)
    if keep_begin and begin:
        scheduler['begin'] = begin
    if fills:  # a cosine's half-period from begin to end, also if begin was kept
        scheduler['T_max'] = scheduler['end'] - scheduler.get('begin', 0)
