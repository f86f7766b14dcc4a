"""Train several runs of a suite at once: small networks leave most of a GPU idle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...checkpoint import plain_data_only
from .records import record
from .runs import Run


def train_side_by_side(
    runs: Sequence[Run], jobs: int, finished: Callable[[Run, dict[str, Any]], None]
) -> dict[str, str]:
    """Train and evaluate runs, each as soon as the runs that it needs are finished.

    What a training prints goes to a file beside its folder, see :func:`output_of`. A run that fails
    ends neither those beside it nor those that do not need it.

    Args:
        runs: Runs of a suite, each behind those that it needs.
        jobs: How many of them are trained at a time.
        finished: Is called with each run and its record, see :func:`record`.

    Returns:
        The runs that failed, or need one that did, and why.
    """
    waiting, failed = list(runs), {}
    running: dict[Future, Run] = {}
    context = multiprocessing.get_context('spawn')  # a GPU can't be used in a fork
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
        try:
            while waiting or running:
                for run in _ready(waiting, [*running.values()])[: jobs - len(running)]:
                    waiting.remove(run)
                    print(f'Begins: {run}', flush=True)
                    running[pool.submit(_train, run)] = run
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run = running.pop(future)
                    if error := future.exception():
                        failed[str(run)] = f'{error}; its output is in {output_of(run)}'
                        lost = _needing(run, waiting)
                        failed |= {str(other): f'it needs {run.row}' for other in lost}
                        waiting = [other for other in waiting if other not in lost]
                    else:
                        finished(run, future.result())
        except BaseException:
            _end_all()
            raise
    return failed


def output_of(run: Run) -> Path:
    """Return the file of what a training beside others prints."""
    return run.stage.folder.with_suffix('.txt')


def _begin() -> None:
    """Prepare a process: it leads a group, in which its training will be."""
    os.setsid()
    plain_data_only()


def _end_all() -> None:
    """End the processes and their trainings."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt this
    for process in multiprocessing.active_children():
        with suppress(ProcessLookupError):  # it leads no group yet, so it trains nothing
            os.killpg(process.pid, signal.SIGTERM)


def _train(run: Run) -> dict[str, Any]:
    """Train a run unless it is finished, and return its record."""
    file = output_of(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('a') as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    if run.stage.finished:
        run.stage.make_folder()
    else:
        run.stage.train()
    return record(run)


def _ready(waiting: Sequence[Run], running: Sequence[Run]) -> list[Run]:
    """Return the runs that need no other, and whose folder no other has before them."""
    ready: list[Run] = []
    for place, run in enumerate(waiting):
        before = {other.stage.folder for other in [*running, *waiting[:place]]}
        if before.isdisjoint(_folders(run)):
            ready.append(run)
    return ready


def _folders(run: Run) -> set[Path]:
    """Return the folders of a run and of those that it needs; recipes may share a teacher's."""
    stage, folders = run.stage, {run.stage.folder}
    while stage := stage.needed or stage.weights_of:
        folders.add(stage.folder)
    return folders


def _needing(run: Run, waiting: Sequence[Run]) -> list[Run]:
    return [other for other in waiting if run.stage.folder in _folders(other)]
