"""Find out where a training writes its checkpoints, from the config of its CheckpointHook."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook

from .config_hooks import hooks
from .schedule import training_length


def expected_checkpoint(cfg: Config, work_dir: Path) -> Path:
    """Return the path of the last checkpoint of a training that is not stopped early.

    Args:
        cfg: A config that :func:`check_checkpoints` accepts.
        work_dir: The runner's folder.
    """
    hook = _checkpoint_hook(cfg)[1]
    step = _last_step(hook, training_length(cfg)[0])
    return checkpoint_folder(cfg, work_dir) / hook.filename_tmpl.format(step)


def checkpoint_of_the_end(cfg: Config, work_dir: Path) -> Path:
    """Return the path of a checkpoint of the very last iteration or epoch, written or not."""
    hook = _checkpoint_hook(cfg)[1]
    name = hook.filename_tmpl.format(training_length(cfg)[0])
    return checkpoint_folder(cfg, work_dir) / name


def checkpoint_folder(cfg: Config, work_dir: Path) -> Path:
    """Return the folder of a training's checkpoints: the runner's, or one in ``out_dir``."""
    out_dir = _checkpoint_hook(cfg)[1].out_dir
    # MMEngine compares with the runner's absolute path, too.
    if out_dir is None or str(out_dir) == str(work_dir.absolute()):
        return work_dir
    return Path(out_dir) / work_dir.name


def check_checkpoints(cfg: Config) -> None:
    """Refuse a config whose training would leave no checkpoint that can be found.

    Raises:
        ValueError: The message begins with the option.
    """
    option, hook = _checkpoint_hook(cfg)
    length, unit = training_length(cfg)
    by_epoch = unit == 'epochs'
    if hook.by_epoch != by_epoch:
        raise ValueError(f'{option}.by_epoch must be {by_epoch}: the training is by {unit}')
    if hook.filename_tmpl.count('{}') != 1 or Path(hook.filename_tmpl).name != hook.filename_tmpl:
        raise ValueError(
            f'{option}.filename_tmpl={hook.filename_tmpl!r} must be a file name with one {{}}, '
            f'for the number of {unit}'
        )
    if '://' in str(hook.out_dir):
        raise ValueError(
            f'{option}.out_dir={hook.out_dir!r} must be a local folder, where the stages that '
            'learn from this one find its checkpoint'
        )
    written = _options(hook, 'interval', 'save_begin', 'save_last')
    if _last_step(hook, length) is None:
        raise ValueError(
            f'{option} with {written} writes no checkpoint in {length} {unit}: set save_last to '
            f'True, or interval (after save_begin) to {length} or less'
        )
    _check_early_stopping(cfg, f'{option} with {written}', hook)


def _check_early_stopping(cfg: Config, name: str, hook: CheckpointHook) -> None:
    """Refuse a training that could be stopped before its first checkpoint.

    Args:
        cfg: The config.
        name: How the message calls the CheckpointHook.
        hook: The CheckpointHook.
    """
    length, unit = training_length(cfg)
    first = _first_step(hook, length)
    for stopper in hooks(cfg):
        if issubclass(stopper.kind, EarlyStoppingHook):
            stop = _first_stop(cfg, stopper.build())
            if stop < first:
                raise ValueError(
                    f'{name} writes the first checkpoint after {first} {unit}, but '
                    f'{stopper.option} ({stopper.kind.__name__}) may stop the training after '
                    f'{stop}: set interval to {stop} or less'
                )


def _first_stop(cfg: Config, hook: EarlyStoppingHook) -> int:
    """Return after how many iterations or epochs a hook can stop a training at the earliest."""
    default = 1 if training_length(cfg)[1] == 'epochs' else 1000  # MMEngine's
    interval = cfg.train_cfg.get('val_interval', default)
    first = max(interval, -(-cfg.train_cfg.get('val_begin', 1) // interval) * interval)
    # The first validation is always the best so far; a threshold can be reached at once.
    waits = hook.patience if hook.stopping_threshold is None else 0
    return first + waits * interval


def _first_step(hook: CheckpointHook, length: int) -> int:
    """Return the iteration or epoch of a hook's first checkpoint."""
    steps = [length] if hook.save_last else []
    if hook.interval > 0:
        steps.append(hook.save_begin or hook.interval)
    return min(steps)


def _last_step(hook: CheckpointHook, length: int) -> int | None:
    """Return the iteration or epoch of a hook's last checkpoint; None if it writes none."""
    if hook.save_last:
        return length
    if hook.interval <= 0 or length < hook.save_begin:
        return None
    return length - (length - hook.save_begin) % hook.interval or None


def _checkpoint_hook(cfg: Config) -> tuple[str, CheckpointHook]:
    """Return the place of a config's CheckpointHook, and the hook.

    Raises:
        ValueError: There is none, or there are several.
    """
    found = {
        hook.option: hook.build() for hook in hooks(cfg) if issubclass(hook.kind, CheckpointHook)
    }
    if not found:
        raise ValueError(
            'default_hooks.checkpoint is None: the training would write no checkpoint; set it to '
            "dict(type='CheckpointHook', …), or leave it out"
        )
    if len(found) > 1:
        raise ValueError(f'{" and ".join(found)} both write checkpoints: leave one CheckpointHook')
    return found.popitem()


def _options(hook: CheckpointHook, *options: str) -> str:
    return ', '.join(f'{option}={getattr(hook, option)}' for option in options)
