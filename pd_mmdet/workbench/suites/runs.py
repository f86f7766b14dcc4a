"""The runs of a suite: a row, trained with one seed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from mmengine.config import Config

from ..config import complete_config
from ..stages.recipe import read_stage
from ..stages.schedule import stretch_schedule, training_length
from ..stages.stage import Stage
from .suite import Part, Suite


class Run(NamedTuple):
    """One training of a suite, and what is known before it.

    Args:
        recipe: Name of the recipe's folder.
        row: Name of the row.
        seed: Its seed.
        stage: Config, folder and checkpoints.
    """

    recipe: str
    row: str
    seed: int
    stage: Stage

    def __str__(self) -> str:
        return f'{self.recipe}, seed {self.seed}, {self.stage}'


def plan(
    suite: Suite,
    work_dir: Path,
    seeds: Sequence[int] | None = None,
    rows: Sequence[str] | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> list[Run]:
    """All runs in their order: part by part, in each seed by seed, in each row by row.

    Args:
        suite: What is run.
        work_dir: Runs go to ``work_dir/recipe/seed<n>/row``.
        seeds: Those of the suite's that are run; None: all.
        rows: Those of the suite's that are run, with what they learn from; None: all.
        cfg_options: Overrides of every config, after the suite's own.

    Raises:
        FileNotFoundError: Data are missing.
        ValueError: A seed or row is none of the suite's, an option changes nothing, or a folder
            holds another training.
    """
    if 'randomness.seed' in (cfg_options or {}):
        raise ValueError('--cfg-options randomness.seed: the suite says the seeds; use --seeds')
    _check_chosen('--seeds', seeds, suite.seeds)
    _check_chosen('--rows', rows, suite.rows)
    runs: dict[tuple[str, int, str], Run] = {}
    for part in suite.parts:
        for seed in seeds or suite.seeds:
            for name in part.rows:
                if rows is None or name in _with_needed(suite, rows):
                    _add(runs, suite, part, seed, name, work_dir, cfg_options or {})
    return list(runs.values())


def _check_chosen(option: str, chosen: Sequence | None, known: Sequence) -> None:
    unknown = [one for one in chosen or () if one not in known]
    if unknown:
        raise ValueError(f'{option} {unknown[0]}: the suite has {", ".join(map(str, known))}')


def _with_needed(suite: Suite, rows: Sequence[str]) -> set[str]:
    needed = {suite.rows[name].learns_from for name in rows} - {None}
    return {*rows} | (_with_needed(suite, sorted(needed)) if needed else set())


def _add(
    runs: dict[tuple[str, int, str], Run],
    suite: Suite,
    part: Part,
    seed: int,
    name: str,
    work_dir: Path,
    cfg_options: dict[str, Any],
) -> None:
    """Add a run to those before it, unless it is there."""
    recipe, row = part.recipe.name, suite.rows[name]
    seed = _seed(suite, name, seed)
    if (recipe, seed, name) in runs:
        return
    needed = None
    if row.learns_from:
        needed = runs[recipe, _seed(suite, row.learns_from, seed), row.learns_from].stage
    options = {**cfg_options, 'randomness.seed': seed}
    cfg = _read(suite, part, name, options)
    if row.as_long_as:
        configs = [_read(suite, part, other, options) for other in row.as_long_as]
        total = sum(training_length(other)[0] for other in configs)
        cfg = stretch_schedule(cfg, Fraction(total, training_length(cfg)[0]))
    folder = work_dir / recipe / f'seed{seed}' / name
    stage = Stage(name=name, read=cfg, folder=folder, needed=needed)
    stage.check()
    _check_place(stage, runs)
    runs[recipe, seed, name] = Run(recipe, name, seed, stage)


def _seed(suite: Suite, name: str, seed: int) -> int:
    return suite.seeds[0] if suite.rows[name].once else seed


def _check_place(stage: Stage, runs: dict[tuple[str, int, str], Run]) -> None:
    """Refuse that two runs write their checkpoints to one folder."""
    for run in runs.values():
        if run.stage.checkpoints == stage.checkpoints:
            raise ValueError(
                f'{run.stage.folder} and {stage.folder} would both have their checkpoints in '
                f'{stage.checkpoints}: leave out_dir of default_hooks.checkpoint out of '
                f'{stage.name}.py'
            )


def _read(suite: Suite, part: Part, name: str, options: dict[str, Any]) -> Config:
    """The config of a row."""
    row = suite.rows[name]
    return complete_config(
        read_stage(part.recipe, row.config),
        {**suite.options, **row.options, **options},
        splits=['train', 'val'],
    )


def seconds_left(runs: Sequence[Run]) -> float | None:
    """How long the unfinished runs will take, by how long finished ones took; None if none did.

    A run's time is that of the same row with another seed, else it is reckoned from its length and
    from what a step of the finished runs took on average.
    """
    done = [run for run in runs if run.stage.finished and run.stage.seconds]
    if not done:
        return None
    a_step = mean(run.stage.seconds / training_length(run.stage.cfg)[0] for run in done)
    left = 0.0
    for run in runs:
        if not run.stage.finished:
            same = [one.stage.seconds for one in done if (one.recipe, one.row) == run[:2]]
            left += mean(same) if same else a_step * training_length(run.stage.cfg)[0]
    return left
