"""Planning and running the stages of a recipe."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from ..load_config import OPTIONS, complete_config
from .checkpoints import (
    check_checkpoints,
    checkpoint_folder,
    checkpoint_of_the_end,
    expected_checkpoint,
)
from .recipe import read_stage
from .schedule import stretch_schedule, training_length

ORDER = ('teacher', 'ceiling', 'assistant', 'student', 'one_stage', 'baseline', 'baseline_long')
TAS = ('teacher', 'assistant', 'student')

REQUIRED = ('assistant', 'student', 'baseline')
"""The stages whose configs are files of the recipe; those of the others may be elsewhere, see
:func:`read_stage`."""

NEEDS = dict(
    assistant='teacher', student='assistant', one_stage='teacher', one_stage_heads='teacher'
)
"""The stage from whose checkpoint a config learns."""

VARIABLES = dict(teacher='TEACHER_CHECKPOINT', assistant='ASSISTANT_CHECKPOINT')
"""The variables in which a config that is trained alone finds the checkpoints of those before."""

TRAIN = ['-m', 'pd_mmdet.workbench.commands.train']
"""What Python is told, to train a config."""

SHOWN = 8
"""How many differences between two configs a message lists."""


@dataclass(frozen=True)
class Stage:
    """One training of a recipe, or the evaluation of another stage's weights.

    Args:
        name: One of ``ORDER``, or another for the messages.
        read: Its config, as it was read.
        folder: Folder of its logs and checkpoints.
        needed: The stage from which it learns.
        given: Its checkpoint, if it is not trained here.
        weights_of: The stage whose checkpoint is its own, if nothing is trained for it.
    """

    name: str
    read: Config
    folder: Path
    needed: Stage | None = None
    given: Path | None = None
    weights_of: Stage | None = None

    @property
    def trains(self) -> bool:
        """True if it is trained here."""
        return not (self.given or self.weights_of)

    @property
    def cfg(self) -> Config:
        """The config, with the checkpoint of the stage from which it learns."""
        return learning_from(self.read, self.needed.checkpoint) if self.needed else self.read

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint of the training; before its end, the place where it is expected.

        Not the best one: chosen on the validation set, it would flatter.
        """
        if self.weights_of:
            return self.weights_of.checkpoint
        if self.finished:
            return self.latest
        return expected_checkpoint(self.read, self.folder)

    @property
    def latest(self) -> Path | None:
        """The latest checkpoint that there is, None if there is none."""
        if self.given or not (self.folder / 'last_checkpoint').is_file():
            return self.given
        # Only the name of what MMEngine says: the folder may have been moved since.
        name = Path(find_latest_checkpoint(str(self.folder))).name
        latest = self.checkpoints / name
        return latest if latest.is_file() else None

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints: its own, unless its config says another."""
        return checkpoint_folder(self.read, self.folder)

    @property
    def finished(self) -> bool:
        """True if the training came to its end, by itself or stopped early by a hook."""
        if self.weights_of:
            return self.weights_of.finished
        if self.given or not self.latest:
            return bool(self.given)
        return self._end.is_file() or self.latest == checkpoint_of_the_end(self.read, self.folder)

    @property
    def _end(self) -> Path:
        """The file that is written when the training has come to its end."""
        return self.folder / 'finished.txt'

    @property
    def seconds(self) -> float | None:
        """Seconds of training, over all runs; None if there was none."""
        record = self.folder / 'seconds.txt'
        return float(record.read_text()) if record.is_file() else None

    def __str__(self) -> str:
        if not self.trains:
            return f'{self.name}: not trained here, checkpoint: {self.checkpoint}'
        length, unit = training_length(self.read)
        text = f'{self.name}: {length} {unit}'
        if self.needed:
            text += f', learns from {self.needed.checkpoint}'
        if self.finished:
            text += ', finished before'
        elif self.latest:
            text += f', goes on from {self.latest.name}'
        return text

    @property
    def file(self) -> str:
        """Name of the file of its config, for messages."""
        return Path(self.read.filename or f'{self.name}.py').name

    @property
    def config(self) -> Path:
        """The file of its config: beside its folder, as MMEngine writes its own inside."""
        return self.folder.with_suffix('.py')

    def check(self) -> None:
        """Refuse what could not be trained or resumed.

        Raises:
            ValueError: The config can't be a stage, or :meth:`check_folder` refuses.
        """
        try:
            if self.trains:
                check_checkpoints(self.read)
            if self.needed:
                _check_teacher(self.read, self.needed)
        except ValueError as error:
            raise ValueError(f'{self.file}: {error}') from None
        _check_auto_scale_lr(self)
        self.check_folder()

    def check_folder(self) -> None:
        """Refuse a folder that holds another training.

        Raises:
            ValueError: It was made with another config, or from another checkpoint.
        """
        if not self.folder.is_dir():
            if self.trains:
                self._check_elsewhere()
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
        if self.needed and _older(self.config, self.needed):
            raise ValueError(
                f'{self.folder} was begun before {self.needed.checkpoint} was written. {advice}.'
            )

    def _check_elsewhere(self) -> None:
        """Refuse to write over checkpoints of another training outside of its own folder."""
        place = self.checkpoints
        if place != self.folder and place.is_dir() and any(place.iterdir()):
            raise ValueError(
                f'{place}, where {self.file} has its checkpoints written (out_dir), holds files '
                f'of another training, and {self.folder} is not there. Nothing was changed. Name '
                f'another out_dir, or delete {place}.'
            )

    def make_folder(self) -> None:
        """Make its folder and write its config, unless they are there."""
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.cfg.dump(self.config)
            self.folder.mkdir()

    def train(self, gpus: int = 1) -> None:
        """Train it in processes of its own, from its latest checkpoint if there is one.

        Args:
            gpus: How many processes train it; several have a GPU each.

        Raises:
            subprocess.CalledProcessError: The training failed.
            RuntimeError: It ended without a checkpoint.
        """
        if self.folder.is_dir():
            self.cfg.dump(self.config)  # the teacher's config may have moved since the beginning
        self.make_folder()
        self._end.unlink(missing_ok=True)  # of a training whose checkpoint was deleted since
        command = [*TRAIN, self.config, '--work-dir', self.folder]
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
        if not self.latest:
            raise RuntimeError(f'the training of {self.name} ended without {self.checkpoint}')
        self._end.write_text(f'{self.latest}\n')


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
        recipe: The folder of configs, see :func:`read_stage`.
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
        cfg = read_stage(recipe, name.removesuffix('_long'))
        cfg = complete_config(cfg, cfg_options, splits=['train', 'val'])
        if name == 'baseline_long':
            cfg = stretch_schedule(cfg, _share_of_all(cfg, stages))
        stage = Stage(
            name=name,
            read=cfg,
            folder=work_dir / name,
            needed=stages[NEEDS[name]] if name in NEEDS else None,
            given=teacher_checkpoint if name == 'teacher' else None,
        )
        stage.check()
        stages[name] = stage
    return list(stages.values())


def _check_files(recipe: Path, names: list[str], teacher_checkpoint: Path | None) -> None:
    if not recipe.is_dir():
        raise FileNotFoundError(f'no recipe folder at {recipe.absolute()}')
    present = sorted(file.name for file in recipe.glob('*.py'))
    files = [f'{name}.py' for name in REQUIRED if name in names]
    missing = [file for file in files if file not in present]
    if missing:
        raise FileNotFoundError(
            f'the recipe {recipe} has no {", ".join(missing)}; '
            f'it has {", ".join(present) or "no configs"}'
        )
    if teacher_checkpoint and not teacher_checkpoint.is_file():
        raise FileNotFoundError(f'--teacher-checkpoint: no file at {teacher_checkpoint.absolute()}')


def learning_from(cfg: Config, checkpoint: Path) -> Config:
    """Copy a distiller's config and give its teacher another checkpoint.

    Where ``load_from``, or a variable of the file, is the teacher's checkpoint, too, it becomes the
    same.
    """
    cfg = copy.deepcopy(cfg)
    before = cfg.model.teacher.get('checkpoint')
    for key in [key for key in cfg if before is not None and cfg[key] == before]:
        cfg[key] = str(checkpoint)
    cfg.model.teacher.checkpoint = str(checkpoint)
    return cfg


def _check_teacher(cfg: Config, needed: Stage) -> None:
    if not cfg.model.get('teacher'):
        raise ValueError(
            f'model has no teacher, so nothing would be learnt from {needed.name}: model must be a '
            'distiller, whose teacher.checkpoint will be the file of that stage'
        )


def _share_of_all(cfg: Config, stages: dict[str, Stage]) -> Fraction:
    """Return all training on the way to the student, over that of a config."""
    length, unit = training_length(cfg)
    total = 0
    for stage in (stages[name] for name in TAS if not stages[name].given):
        stage_length, stage_unit = training_length(stage.read)
        if stage_unit != unit:
            raise ValueError(
                f'--baseline: baseline.py trains by {unit}, {stage.file} by {stage_unit}; '
                'for a baseline as long as all stages together they must have one unit'
            )
        total += stage_length
    return Fraction(total, length)


def _older(config: Path, needed: Stage) -> bool:
    """Return True if a config was written before the checkpoint that it learns from."""
    if not needed.finished:
        return True
    return needed.checkpoint.stat().st_mtime > config.stat().st_mtime


def _check_auto_scale_lr(stage: Stage) -> None:
    scale = stage.read.get('auto_scale_lr') or {}
    if scale.get('enable') and 'base_batch_size' not in scale:
        raise ValueError(
            f'--auto-scale-lr: {stage.file} does not say auto_scale_lr = '
            'dict(base_batch_size=…), the batch size that its learning rate is meant for'
        )


def _effective(cfg: Config) -> dict[str, Any]:
    """Take from a config what decides about its training.

    Variables have done their work when the config is read. Where the teacher's config lies does
    not matter: the stage that trains the teacher has a folder, and a check, of its own.
    """
    options = {key: value for key, value in cfg.to_dict().items() if key in OPTIONS}
    teacher = (options.get('model') or {}).get('teacher')
    if teacher and isinstance(teacher.get('cfg'), str):
        teacher['cfg'] = 'named'
    return options


def _differences(old: Any, new: Any, path: str = '') -> Iterator[str]:
    """List what differs between two configs: dotted keys and both values.

    MMEngine notes in what a config inherits from a library that it is of this library's scope,
    which is the default scope anyway: that is no difference.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            if key == '_scope_':
                continue
            inner = f'{path}.{key}'.lstrip('.')
            yield from _differences(old.get(key, 'nothing'), new.get(key, 'nothing'), inner)
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for index, (inner_old, inner_new) in enumerate(zip(old, new)):
            yield from _differences(inner_old, inner_new, f'{path}.{index}')
    elif old != new:
        yield f'{path} is {old!r} there and {new!r} now'
