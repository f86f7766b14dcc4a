"""Record the results of a suite's runs, in the files of ``benchmarks/results``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...checkpoint import load_data
from ..costs.image_bytes import bytes_per_image
from ..deployed_data import small_file
from ..stages.evaluate import build_dataset, stage_row, val_dataset, view
from ..stages.results import environment
from ..tasks import task_of
from .runs import Run

IDENTITY = ('recipe', 'row', 'seed')

ENCODED = 32
"""Number of validation images whose bytes are counted."""


def record(run: Run) -> dict[str, Any]:
    """Evaluate a finished run; each checkpoint is evaluated once, also one that recipes share.

    Returns:
        ``recipe``, ``row``, ``seed``, the entries of :func:`stage_row`, ``coverage`` (share of the
        training boxes that a prior matches, 0 to 1; None if it was not measured), ``enlarge`` (side
        of the image that is read over that of the file), ``jpeg90`` (see :func:`bytes_per_image`)
        and ``environment``.
    """
    stage = run.stage
    kept = stage.folder / 'record.json'
    if kept.is_file() and kept.stat().st_mtime >= stage.checkpoint.stat().st_mtime:
        return json.loads(kept.read_text()) | dict(recipe=run.recipe)
    row = stage_row(stage, stage.folder)
    del row['name'], row['checkpoint']
    made = dict(
        recipe=run.recipe,
        row=run.row,
        **row | dict(seed=run.seed),
        coverage=coverage(stage.checkpoint) if stage.trains else None,
        enlarge=enlarge(stage.cfg),
        jpeg90=bytes_per_image(build_dataset(stage.cfg), [90], ENCODED)['jpeg90'],
        environment=environment(task_of(stage.cfg).scope),
    )
    kept.write_text(json.dumps(made, indent=2) + '\n')
    return made


def coverage(checkpoint: Path) -> float | None:
    """Read from a checkpoint what ``PriorCoverageHook`` has measured; None if it has not."""
    info = load_data(checkpoint).get('message_hub', {}).get('runtime_info', {})
    shares = (info.get(f'prior_coverage/{side}') for side in ('student', 'detector'))
    return next((share for share in shares if share is not None), None)


def enlarge(cfg: Config) -> float:
    """Return how many times a deployed network enlarges the image of a file: u, 1 if it does not.

    Args:
        cfg: The config of a stage. A network that is tested on the large image enlarges nothing.
    """
    if view(cfg) == 'hr':
        return 1
    _, factor = small_file(val_dataset(cfg)) or (1, 1)
    return float(factor)


def write_results(file: Path, suite: str, new: dict[str, Any]) -> None:
    """Write the record of a run into a results file, over an older record of the same run.

    Raises:
        ValueError: See :func:`check_results`.
    """
    check_results(file, suite)
    content = read_results(file) if file.is_file() else dict(suite=suite, runs=[])
    others = [record for record in content['runs'] if identity(record) != identity(new)]
    content |= dict(command=shlex.join(['python', *sys.argv]), runs=[*others, new])
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix('.part')
    draft.write_text(json.dumps(content, indent=1) + '\n')
    os.replace(draft, file)  # after an interruption there is the old file or the new one


def check_results(file: Path, suite: str) -> None:
    """Refuse a results file of another suite.

    Raises:
        ValueError: It is one.
    """
    held = read_results(file).get('suite') if file.is_file() else suite
    if held != suite:
        raise ValueError(f'{file} holds results of {held!r}, not of {suite!r}')


def read_results(file: Path) -> dict[str, Any]:
    """Return a results file's content: ``suite``, ``command`` and ``runs``, a list of records."""
    return json.loads(file.read_text())


def identity(made: dict[str, Any]) -> tuple:
    """Return the values that identify a run of a suite."""
    return tuple(made[key] for key in IDENTITY)
