"""Plan the runs of a suite: each is a row with one seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from mmengine.config import Config

from ..load_config import complete_config
from ..stages.recipe import read_stage
from ..stages.schedule import stretch_schedule, training_length
from ..stages.stage import Stage
from .suite import Part, Suite

Read = Callable[[Path, str], Config]
"""Reads the config of a stage of a recipe, as :func:`read_stage`."""


class Run(NamedTuple):
    """A training of a suite, or the evaluation of another run's weights.

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
    """List all runs in their order: by part, then by seed, then by row.

    Args:
        suite: The suite.
        work_dir: Folder of all runs; each has the folder ``recipe/seed<n>/row`` in it.
        seeds: Seeds of the suite that are run; None: all.
        rows: Rows of the suite that are run, with the rows they need; None: all.
        cfg_options: Overrides for every config, after those of the suite.

    Raises:
        FileNotFoundError: Data, or the recipe of a variant, are missing.
        ValueError: The suite does not have a seed or row, an option has no effect, or a folder has
            another training.
    """
    if 'randomness.seed' in (cfg_options or {}):
        raise ValueError('--cfg-options randomness.seed: the suite sets the seeds; use --seeds')
    _check_chosen('--seeds', seeds, suite.seeds)
    _check_chosen('--rows', rows, suite.rows)
    runs: dict[tuple[str, int, str], Run] = {}
    read = cache(read_stage)  # that takes a second, and many rows and all seeds share a config
    for part in suite.parts:
        wanted = _wanted(suite, part.recipe, suite.rows if rows is None else rows)
        for seed in seeds or suite.seeds:
            for name in part.rows:
                if name in wanted:
                    _add(runs, read, suite, part, seed, name, work_dir, cfg_options or {})
    return list(runs.values())


def _check_chosen(option: str, chosen: Sequence | None, known: Sequence) -> None:
    unknown = [value for value in chosen or () if value not in known]
    if unknown:
        raise ValueError(f'{option} {unknown[0]}: the suite has {", ".join(map(str, known))}')


def _wanted(suite: Suite, recipe: Path, rows: Iterable[str]) -> set[str]:
    """Return which of these rows are run with a recipe, and all rows that these need."""
    there = {name for part in suite.parts if part.recipe == recipe for name in part.rows}
    return _with_needed(suite, there.intersection(rows))


def _with_needed(suite: Suite, rows: set[str]) -> set[str]:
    """Return the names of rows and of all rows whose checkpoints they need."""
    needed = {suite.rows[name].needed for name in rows} - {None}
    return rows | (_with_needed(suite, needed) if needed else set())


def _add(
    runs: dict[tuple[str, int, str], Run],
    read: Read,
    suite: Suite,
    part: Part,
    seed: int,
    name: str,
    work_dir: Path,
    cfg_options: dict[str, Any],
) -> None:
    """Add a run to those before it, unless it is among them."""
    recipe, row = part.recipe.name, suite.rows[name]
    seed = _seed(suite, name, seed)
    if (recipe, seed, name) in runs:
        return
    needed = row.needed and runs[recipe, _seed(suite, row.needed, seed), row.needed].stage
    options = {**cfg_options, 'randomness.seed': seed}
    cfg = _config(read, suite, part, name, options)
    if row.as_long_as:
        configs = [_config(read, suite, part, other, options) for other in row.as_long_as]
        total = sum(training_length(other)[0] for other in configs)
        cfg = stretch_schedule(cfg, Fraction(total, training_length(cfg)[0]))
    home = recipe if row.needed else _first_with(cfg, read, suite, part, name, options)
    folder = work_dir / home / f'seed{seed}' / name
    source = 'weights_of' if row.weights_of else 'needed'
    stage = Stage(name=name, read=cfg, folder=folder, **{source: needed})
    stage.check()
    if home == recipe:
        _check_place(stage, runs)
    runs[recipe, seed, name] = Run(recipe, name, seed, stage)


def _first_with(
    cfg: Config, read: Read, suite: Suite, part: Part, name: str, options: dict[str, Any]
) -> str:
    """Return the first recipe of the suite whose row of this name has this config.

    One teacher, trained once, serves recipes of several ratios.
    """
    for other in suite.parts[: suite.parts.index(part)]:
        if name in other.rows:
            config = _config(read, suite, other, name, options)
            if config.to_dict() == cfg.to_dict():
                return other.recipe.name
    return part.recipe.name


def _seed(suite: Suite, name: str, seed: int) -> int:
    return suite.seeds[0] if suite.rows[name].once else seed


def _check_place(stage: Stage, runs: dict[tuple[str, int, str], Run]) -> None:
    """Refuse two runs that would write their checkpoints to one folder."""
    for run in runs.values():
        if run.stage.checkpoints == stage.checkpoints:
            raise ValueError(
                f'{run.stage.folder} and {stage.folder} would both write their checkpoints to '
                f'{stage.checkpoints}: remove out_dir of default_hooks.checkpoint from '
                f'{stage.name}.py'
            )


def _config(read: Read, suite: Suite, part: Part, name: str, options: dict[str, Any]) -> Config:
    """Make the config of a row.

    Raises:
        FileNotFoundError: There is no such variant of the recipe.
    """
    row = suite.rows[name]
    recipe = part.recipe_of(row)
    if row.variant and not recipe.is_dir():
        raise FileNotFoundError(
            f'row {name!r} of {part.title!r} has variant={row.variant!r}, but there is no recipe '
            f'folder at {recipe}: make it, or leave this row out'
        )
    return complete_config(
        copy.deepcopy(read(recipe, row.config)),
        {**suite.options, **row.options, **options},
        splits=['train', 'val'],
    )


def seconds_left(runs: Sequence[Run]) -> float | None:
    """Estimate how long the unfinished trainings will take; None if none is finished.

    The estimate of a run is the time of the same row with other seeds; if there is none, its length
    times the mean time of a step in the finished runs.
    """
    done = [run for run in runs if run.stage.finished and run.stage.seconds]
    if not done:
        return None
    step_seconds = mean(run.stage.seconds / training_length(run.stage.cfg)[0] for run in done)
    left = 0.0
    for run in {run.stage.folder: run for run in runs}.values():
        if run.stage.trains and not run.stage.finished:
            same = [other.stage.seconds for other in done if (other.recipe, other.row) == run[:2]]
            left += mean(same) if same else step_seconds * training_length(run.stage.cfg)[0]
    return left
