"""The options of a config that are points in time: a longer training has them later."""

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
"""The options that are points in time, by class; a class has those of its bases, too.

Intervals, windows and warm-ups are none. A module that makes a class of its own known, with no
options if it has none, does so where the config's ``custom_imports`` find it.
"""

MODEL_TIMES = ('initial_epoch',)
"""The options, anywhere in a model, that are points in time."""

# These say a length of time with one more or one less: `action_epoch=1` and `val_begin=1` are from
# the start, `num_last_epochs=0` switches before the last epoch.
SHIFTS = dict(action_epoch=-1, begin_epoch=-1, begin_iter=-1, val_begin=-1, num_last_epochs=1)

SOUNDS = re.compile(
    'epoch|iter|step|begin|start|switch|stop|end$|until|last|after|patience|milestone'
)
NEVER = re.compile('interval|warm_?up')


def known(kind: type) -> bool:
    """Whether the points in time of a class are known."""
    return any(base.__name__ in TIMES for base in kind.__mro__)


def stretch(said: dict[str, Any], kind: type, factor: Fraction) -> None:
    """Stretch the points in time of what a config says of a hook, a scheduler or a loop.

    Args:
        said: That; it is changed.
        kind: Its class.
        factor: How much longer the training is.
    """
    for option in _options(kind):
        default = _defaults(kind).get(option)
        if option not in said and _whole(default) and _later(option, default, factor) != default:
            said[option] = default
        _stretch_option(said, option.split('.'), factor)


def _options(kind: type) -> set[str]:
    return {option for base in kind.__mro__ for option in TIMES.get(base.__name__, ())}


def _stretch_option(said: Any, path: list[str], factor: Fraction) -> None:
    name, *rest = path
    if isinstance(said, (list, tuple)):
        for one in said:
            _stretch_option(one, path, factor)
    elif rest:
        _stretch_option(said[name], rest, factor)
    elif said.get(name):  # what is at 0 is from the start
        said[name] = _later(name, said[name], factor)


def _later(option: str, time: Any, factor: Fraction) -> Any:
    if isinstance(time, (list, tuple)):
        return [_later(option, one, factor) for one in time]
    shift = SHIFTS.get(option, 0)
    return time if time >= INF else round((time + shift) * factor) - shift


def stretch_model(model: dict[str, Any], factor: Fraction) -> dict[str, Any]:
    """Stretch the points in time of a model.

    Args:
        model: Its config. Not changed.
        factor: How much longer the training is.

    Returns:
        The stretched config.

    Raises:
        ValueError: A number of epochs is none of ``MODEL_TIMES``.
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
                f'time, and only {", ".join(MODEL_TIMES)} of models is known; if it is one, '
                'pd_mmdet.workbench.stages.times.MODEL_TIMES must have it'
            )
        return value

    return replace(model, stretched, ('model',))


def check_known(option: str, said: dict[str, Any], kind: type) -> None:
    """Refuse options that sound like points in time, but are not known.

    Args:
        option: What names the hook or loop.
        said: What the config says of it.
        kind: Its class.

    Raises:
        ValueError: There is such an option, said or with its default.
    """
    if kind.__name__ in TIMES:
        return
    for name, value in sorted((_defaults(kind) | said).items()):
        sounds = _whole(value) and SOUNDS.search(name) and not NEVER.search(name)
        if sounds and name not in _options(kind):
            raise ValueError(
                f'cannot stretch the schedule: {option} ({kind.__name__}) has {name}={value}, '
                'which sounds like a point in time and is not known; let its module say which of '
                'its options are some, or (), by '
                f"pd_mmdet.workbench.stages.times.TIMES['{kind.__name__}'] = ({name!r},)"
            )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _defaults(kind: type) -> dict[str, Any]:
    """The defaults of a class's arguments, and of those that it hands to its bases."""
    return {
        name: parameter.default
        for base in reversed(kind.__mro__)
        if '__init__' in vars(base)
        for name, parameter in signature(base.__init__).parameters.items()
    }
