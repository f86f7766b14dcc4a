"""Stretch the options of a config that are points in time, for a longer training."""

from __future__ import annotations

import re
from fractions import Fraction
from inspect import signature
from typing import Any

from mmengine.optim.scheduler.param_scheduler import INF

from ..configs import Place, dotted, replace

TIMES: dict[str, tuple[str, ...]] = dict(
    # Loops
    EpochBasedTrainLoop=('max_epochs', 'val_begin'),
    IterBasedTrainLoop=('max_iters', 'val_begin'),
    # Hooks
    CheckpointHook=('save_begin',),
    EarlyStoppingHook=('patience',),  # counted in validations, whose interval stays
    EMAHook=('begin_iter', 'begin_epoch'),
    FastStopTrainingHook=('stop_iter_or_epoch',),
    PipelineSwitchHook=('switch_epoch',),
    SwitchRecipeHook=('schedule.action_epoch',),
    YOLOXModeSwitchHook=('num_last_epochs',),
    # Schedulers, of rates and momenta alike
    ConstantParamScheduler=('begin', 'end'),
    CosineAnnealingParamScheduler=('begin', 'end', 'T_max'),
    CosineRestartParamScheduler=('begin', 'end', 'periods'),
    LinearParamScheduler=('begin', 'end'),
    MultiStepParamScheduler=('begin', 'end', 'milestones'),
    OneCycleParamScheduler=('begin', 'end', 'total_steps'),
    PolyParamScheduler=('begin', 'end'),
    QuadraticWarmupParamScheduler=('begin', 'end'),
    StepParamScheduler=('begin', 'end', 'step_size'),
)
"""Options that are points in time, by class; they hold for subclasses, too.

Intervals, windows and warm-ups are not points in time. A module with a class of its own adds it
here, with ``()`` if it has no such option, and is imported by the config's ``custom_imports``.
"""

MODEL_TIMES = ('initial_epoch',)
"""Options, anywhere in a model, that are points in time."""

# These options are a length of time plus or minus one: `action_epoch=1` and `val_begin=1` mean from
# the start, `num_last_epochs=0` switches before the last epoch.
SHIFTS = dict(action_epoch=-1, begin_epoch=-1, begin_iter=-1, val_begin=-1, num_last_epochs=1)

SOUNDS_LIKE_TIME = re.compile(
    'epoch|iter|step|begin|start|switch|stop|end$|until|last|after|patience|milestone'
)
NEVER = re.compile('interval|warm_?up')


def is_known(kind: type) -> bool:
    """Return whether the points in time of a class are known."""
    return any(base.__name__ in TIMES for base in kind.__mro__)


def stretch(cfg: dict[str, Any], kind: type, factor: Fraction) -> None:
    """Stretch the points in time of a hook, a scheduler or a loop.

    Args:
        cfg: Its config; changed in place.
        kind: Its class.
        factor: Length of the new training over that of the present one.
    """
    for option in _options(kind):
        default = _defaults(kind).get(option)
        if option not in cfg and _whole(default) and _later(option, default, factor) != default:
            cfg[option] = default
        _stretch_option(cfg, option.split('.'), factor)


def _options(kind: type) -> set[str]:
    return {option for base in kind.__mro__ for option in TIMES.get(base.__name__, ())}


def _stretch_option(cfg: Any, path: list[str], factor: Fraction) -> None:
    """Stretch the option at a path, in each config of a list."""
    name, *rest = path
    if isinstance(cfg, (list, tuple)):
        for item in cfg:
            _stretch_option(item, path, factor)
    elif rest:
        _stretch_option(cfg[name], rest, factor)
    elif cfg.get(name):  # 0 is the start, and stays
        cfg[name] = _later(name, cfg[name], factor)


def _later(option: str, time: Any, factor: Fraction) -> Any:
    """Return a point in time, or several, times a factor."""
    if isinstance(time, (list, tuple)):
        return [_later(option, item, factor) for item in time]
    shift = SHIFTS.get(option, 0)
    return time if time >= INF else round((time + shift) * factor) - shift


def stretch_model(model: dict[str, Any], factor: Fraction) -> dict[str, Any]:
    """Stretch the points in time of a model.

    Args:
        model: Its config. Not changed.
        factor: Length of the new training over that of the present one.

    Returns:
        The stretched config.

    Raises:
        ValueError: The model has a number of epochs that ``MODEL_TIMES`` does not list.
    """

    def stretched(place: Place, value: Any) -> Any:
        key = place[-1]
        if isinstance(value, (dict, list, tuple)):
            return value
        if key in MODEL_TIMES:
            return _later(key, value, factor)
        if _whole(value) and 'epoch' in str(key) and not NEVER.search(key):
            raise ValueError(
                f'cannot stretch the schedule: {dotted(place)}={value} sounds like a point in '
                f'time, and of models only {", ".join(MODEL_TIMES)} is known; if it is one, add '
                'it to pd_mmdet.workbench.stages.times.MODEL_TIMES'
            )
        return value

    return replace(model, stretched, ('model',))


def check_known(option: str, cfg: dict[str, Any], kind: type) -> None:
    """Refuse options that sound like points in time, but are not known.

    Args:
        option: Place of the hook or loop in the config.
        cfg: Its config.
        kind: Its class.

    Raises:
        ValueError: It has such an option, in the config or by default.
    """
    if kind.__name__ in TIMES:
        return
    for name, value in sorted((_defaults(kind) | cfg).items()):
        sounds = _whole(value) and SOUNDS_LIKE_TIME.search(name) and not NEVER.search(name)
        if sounds and name not in _options(kind):
            raise ValueError(
                f'cannot stretch the schedule: {option} ({kind.__name__}) has {name}={value}, '
                'which sounds like a point in time and is not known; list those of its options '
                'that are points in time, or (), in its module: '
                f"pd_mmdet.workbench.stages.times.TIMES['{kind.__name__}'] = ({name!r},)"
            )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _defaults(kind: type) -> dict[str, Any]:
    """Return the defaults of a class's arguments, and of those of its bases."""
    return {
        name: parameter.default
        for base in reversed(kind.__mro__)
        if '__init__' in vars(base)
        for name, parameter in signature(base.__init__).parameters.items()
    }
