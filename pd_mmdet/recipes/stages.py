"""The stages of a recipe: which there are, their configs, and running them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config import OPTIONS, load_config
from .schedule import stretch_schedule, training_length

ORDER = ('teacher', 'ceiling', 'assistant', 'student', 'one_stage', 'baseline', 'baseline_long')
TAS = ('teacher', 'assistant', 'student')

NEEDS = dict(
    assistant='teacher', student='assistant', one_stage='teacher', one_stage_heads='teacher'
)
"""The stage from whose checkpoint a config learns."""

VARIABLES = dict(teacher='TEACHER_CHECKPOINT', assistant='ASSISTANT_CHECKPOINT')
"""The variables in which configs find the checkpoints of the stages before."""

FILES = dict(iterations='iter_{}.pth', epochs='epoch_{}.pth')
"""How MMEngine names checkpoints."""

SHOWN = 8
"""How many differences between two configs a message lists."""


@dataclass(frozen=True)
class Stage:
    """One training of a recipe.

    Args:
        name: One of ``ORDER``, or another for the messages.
        cfg: Its resolved config.
        folder: Where its config, logs and checkpoints go.
        needed: The checkpoint from which it learns.
        given: Its checkpoint where it is not trained here.
    """

    name: str
    cfg: Config
    folder: Path
    needed: Path | None = None
    given: Path | None = None

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint of its training, there or not yet.

        Not the best one: chosen on the validation set, it would flatter.
        """
        length, unit = training_length(self.cfg)
        return self.given or self.folder / FILES[unit].format(length)

    @property
    def latest(self) -> Path | None:
        """The latest checkpoint that there is."""
        record = self.folder / 'last_checkpoint'
        if self.given or not record.is_file():
            return self.given
        latest = self.folder / Path(record.read_text()).name
        return latest if latest.is_file() else None

    @property
    def finished(self) -> bool:
        return self.latest == self.checkpoint

    @property
    def seconds(self) -> float | None:
        """How long it has trained, over all runs; None where it has not."""
        record = self.folder / 'seconds.txt'
        return float(record.read_text()) if record.is_file() else None

    def __str__(self) -> str:
        if self.given:
            return f'{self.name}: not trained here, checkpoint: {self.given}'
        length, unit = training_length(self.cfg)
        text = f'{self.name}: {length} {unit}'
        if self.needed:
            text += f', learns from {self.needed}'
        if self.finished:
            text += ', finished before'
        elif self.latest:
            text += f', goes on from {self.latest.name}'
        return text

    @property
    def config(self) -> Path:
        """Where its config is written: beside its folder, as MMEngine writes its own inside."""
        return self.folder.with_suffix('.py')

    def check(self) -> None:
        """Refuse what could not be trained or gone on with.

        Raises:
            ValueError: The config can't be a stage, or :meth:`check_folder` refuses.
        """
        _check_checkpoint_hook(self)
        _check_auto_scale_lr(self)
        self.check_folder()

    def check_folder(self) -> None:
        """Refuse a folder that holds another training.

        Raises:
            ValueError: It was made with another config, or from another checkpoint.
        """
        if not self.folder.is_dir():
            return
        advice = f'Nothing was changed. Name another --work-dir, or delete {self.folder}'
        if not self.config.is_file():
            raise ValueError(f'{self.folder} is there, but not {self.config}. {advice}.')
        changed = list(_differences(_effective(Config.fromfile(self.config)), _effective(self.cfg)))
        if changed:
            more = f' and {len(changed) - SHOWN} more' if len(changed) > SHOWN else ''
            raise ValueError(
                f'{self.folder} was made with other settings: '
                f'{"; ".join(changed[:SHOWN])}{more}. {advice} and those of the stages after it.'
            )
        if self.needed and self.needed.exists():
            if self.needed.stat().st_mtime > self.config.stat().st_mtime:
                raise ValueError(
                    f'{self.folder} was begun before {self.needed} was written. {advice}.'
                )

    def make_folder(self) -> None:
        """Make its folder and write its config, unless they are there."""
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.cfg.dump(self.config)
            self.folder.mkdir()

    def train(self, tool: Path, gpus: int = 1) -> None:
        """Train it in processes of its own, from its latest checkpoint if there is one.

        Args:
            tool: ``tools/train.py``.
            gpus: How many processes train it; several have a GPU each.

        Raises:
            subprocess.CalledProcessError: The training failed.
            RuntimeError: It ended without its last checkpoint.
        """
        self.make_folder()
        command = [tool, self.config, '--work-dir', self.folder]
        if self.latest:
            command += ['--resume', self.latest]
        if gpus > 1:
            launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={gpus}']
            command = [*launcher, *command, '--launcher', 'pytorch']
        before, started = self.seconds or 0.0, time.monotonic()
        try:
            _run([sys.executable, *map(str, command)])
        finally:
            seconds = before + time.monotonic() - started
            (self.folder / 'seconds.txt').write_text(f'{seconds:.1f}\n')
        if not self.finished:
            raise RuntimeError(f'the training of {self.name} ended without {self.checkpoint}')


def _run(command: list[str]) -> None:
    """Run a command; an interruption ends it, and it the processes that it started.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with subprocess.Popen(command) as process:
        try:
            code = process.wait()
        except BaseException:
            process.terminate()  # not killed, as `subprocess.run` does: its processes would go on
            process.wait()
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def plan(
    recipe: Path,
    work_dir: Path,
    extras: Collection[str] = (),
    teacher_checkpoint: Path | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> list[Stage]:
    """Read the configs of all stages, and check all that can be before anything is trained.

    Args:
        recipe: The folder of configs.
        work_dir: The folder of all stages' folders.
        extras: Of ``'ceiling'``, ``'one_stage'`` and ``'baseline'``, what is trained besides
            teacher, assistant and student.
        teacher_checkpoint: With it, the teacher is not trained.
        cfg_options: Overrides for every config, see :func:`load_config`.

    Returns:
        The stages in their order.

    Raises:
        FileNotFoundError: A config, the teacher's checkpoint or a dataset is missing.
        ValueError: An override changes nothing, a stage's folder holds another training, or a
            config can't be a stage.
    """
    names = [name for name in ORDER if name in TAS or name.removesuffix('_long') in extras]
    _check_files(recipe, names, teacher_checkpoint)
    stages: dict[str, Stage] = {}
    for name in names:
        with reading_from({name: stage.checkpoint for name, stage in stages.items()}):
            file = recipe / f'{name.removesuffix("_long")}.py'
            cfg = load_config(file, cfg_options, splits=['train', 'val'])
        if name == 'baseline_long':
            cfg = stretch_schedule(cfg, _share_of_all(cfg, stages))
        stage = Stage(
            name=name,
            cfg=cfg,
            folder=work_dir / name,
            needed=stages[NEEDS[name]].checkpoint if name in NEEDS else None,
            given=teacher_checkpoint if name == 'teacher' else None,
        )
        stage.check()
        stages[name] = stage
    return list(stages.values())


def _check_files(recipe: Path, names: list[str], teacher_checkpoint: Path | None) -> None:
    if not recipe.is_dir():
        raise FileNotFoundError(f'no recipe folder at {recipe.absolute()}')
    present = sorted(file.name for file in recipe.glob('*.py'))
    files = [f'{name}.py' for name in names if name != 'baseline_long']
    missing = [file for file in files if file not in present]
    if missing:
        raise FileNotFoundError(
            f'the recipe {recipe} has no {", ".join(missing)}; '
            f'it has {", ".join(present) or "no configs"}'
        )
    if teacher_checkpoint and not teacher_checkpoint.is_file():
        raise FileNotFoundError(f'--teacher-checkpoint: no file at {teacher_checkpoint.absolute()}')


@contextmanager
def reading_from(checkpoints: dict[str, Path]) -> Iterator[None]:
    """Tell the config that is read inside where the checkpoints of the stages before it are."""
    before = dict(os.environ)
    for name, variable in VARIABLES.items():
        if name in checkpoints:
            os.environ[variable] = str(checkpoints[name])
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _share_of_all(cfg: Config, stages: dict[str, Stage]) -> Fraction:
    """All training on the way to the student, over that of a config."""
    length, unit = training_length(cfg)
    total = 0
    for stage in (stages[name] for name in TAS if not stages[name].given):
        stage_length, stage_unit = training_length(stage.cfg)
        if stage_unit != unit:
            raise ValueError(
                f'--baseline: baseline.py trains by {unit}, {stage.name}.py by {stage_unit}; '
                'for a baseline as long as all stages together they must have one unit'
            )
        total += stage_length
    return Fraction(total, length)


def _check_checkpoint_hook(stage: Stage) -> None:
    unit = training_length(stage.cfg)[1]
    by_epoch = stage.cfg.default_hooks.checkpoint.get('by_epoch', True)
    if by_epoch != (unit == 'epochs'):
        raise ValueError(
            f'{stage.name}.py trains by {unit}, so default_hooks.checkpoint.by_epoch must be '
            f'{not by_epoch}'
        )


def _check_auto_scale_lr(stage: Stage) -> None:
    scale = stage.cfg.get('auto_scale_lr') or {}
    if scale.get('enable') and 'base_batch_size' not in scale:
        raise ValueError(
            f'--auto-scale-lr: {stage.name}.py does not say auto_scale_lr = '
            'dict(base_batch_size=…), the batch size that its learning rate is meant for'
        )


def _effective(cfg: Config) -> dict[str, Any]:
    """What a config says without its variables, which have done their work when it is read."""
    return {key: value for key, value in cfg.to_dict().items() if key in OPTIONS}


def _differences(old: Any, new: Any, path: str = '') -> Iterator[str]:
    """What differs between two configs: dotted keys and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f'{path}.{key}'.lstrip('.')
            yield from _differences(old.get(key, 'nothing'), new.get(key, 'nothing'), inner)
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for index, (inner_old, inner_new) in enumerate(zip(old, new)):
            yield from _differences(inner_old, inner_new, f'{path}.{index}')
    elif old != new:
        yield f'{path} is {old!r} there and {new!r} now'
