"""Run a suite: every row with every seed, in order of priority.

A suite is a file in benchmarks/suites. It lists rows (methods), the recipes whose configs they
train, seeds, and the order. Each run has a folder with its config, logs, checkpoints and metrics.
The results file is updated after every run. benchmarks/report.py makes tables and figures from the
results files in benchmarks/results.

After an interruption the same command continues: finished runs are not trained again, and an
unfinished run continues from its latest checkpoint.
"""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from pd_mmdet.checkpoint import plain_data_only
from pd_mmdet.workbench.commands.options import (
    add_training_options,
    check_training_options,
    how_to_resume,
    overrides,
    train_or_exit,
)
from pd_mmdet.workbench.stages.preflight import check_data
from pd_mmdet.workbench.stages.pretrained import check_pretrained
from pd_mmdet.workbench.suites.records import check_results, record, write_results
from pd_mmdet.workbench.suites.runs import Run, plan, seconds_left
from pd_mmdet.workbench.suites.side_by_side import train_side_by_side
from pd_mmdet.workbench.suites.suite import read_suite

SUITES = Path(__file__).parent / 'suites'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ', '.join(sorted(path.stem for path in SUITES.glob('*.py')))
    parser.add_argument('suite', help=f'one of {names}, or a file')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder of all runs (default: work_dirs/benchmarks/SUITE)',
    )
    parser.add_argument(
        '--results',
        type=Path,
        metavar='FILE',
        help='file for the results (default: results.json in the work folder); '
        'benchmarks/report.py reads benchmarks/results/suite_NAME_DEVICE.json',
    )
    parser.add_argument(
        '--seeds', type=int, nargs='+', help='run only these seeds of the suite (default: all)'
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        help='run only these rows of the suite, and the rows they learn from (default: all)',
    )
    parser.add_argument('--list', action='store_true', help='list the runs, and stop')
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        metavar='N',
        help='train up to N runs at once, on one GPU or on a CPU; each prints to a file beside its '
        'folder (default: 1)',
    )
    add_training_options(parser)
    args = parser.parse_args()
    check_training_options(parser, args)
    if args.jobs < 1 or (args.jobs > 1 and args.gpus > 1):
        parser.error(f'--jobs {args.jobs}: must be at least 1, and 1 with --gpus {args.gpus}')
    file = Path(args.suite)
    args.suite = file if file.suffix == '.py' else SUITES / f'{args.suite}.py'
    args.work_dir = args.work_dir or Path('work_dirs', 'benchmarks', args.suite.stem)
    args.results = args.results or args.work_dir / 'results.json'
    return args


def say(number: int, runs: list[Run]) -> None:
    """Print the next run, and how long all remaining runs will take."""
    left = seconds_left(runs)
    text = '' if left is None else f', about {timedelta(seconds=round(left))} left in all'
    print(f'\n[{number}/{len(runs)}{text}] {runs[number - 1]}', flush=True)


def run_all(runs: list[Run], args: argparse.Namespace, suite: str) -> None:
    for number, run in enumerate(runs, 1):
        say(number, runs)
        train_or_exit(run.stage, args.gpus)
        write_results(args.results, suite, record(run))


def run_side_by_side(runs: list[Run], args: argparse.Namespace, suite: str) -> None:
    """Run all; end the program with code 1 and the reasons if a run fails."""
    ended: list[Run] = []

    def finished(run: Run, made: dict[str, Any]) -> None:
        write_results(args.results, suite, made)
        ended.append(run)
        print(f'[{len(ended)}/{len(runs)}] finished: {run}', flush=True)

    failed = train_side_by_side(runs, args.jobs, finished)
    if failed:
        reasons = '\n'.join(f'- {run}: {reason}' for run, reason in failed.items())
        sys.exit(f'\n{len(failed)} of {len(runs)} runs failed:\n{reasons}\n{how_to_resume()}')


def main() -> None:
    args = parse_args()
    # Below this level it prints each environment variable that a config file reads.
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        suite = read_suite(args.suite)
        check_results(args.results, suite.name)
        runs = plan(suite, args.work_dir, args.seeds, args.rows, overrides(args))
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    if args.list:
        print('\n'.join(map(str, runs)))
        return
    plain_data_only()
    try:
        stages = [run.stage for run in runs]
        check_pretrained(stages)
        check_data(stages)
    except ValueError as error:
        sys.exit(f'error: {error}')
    print(f'{suite.title}: {len(runs)} runs', flush=True)
    # `kill` must end the training, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        (run_side_by_side if args.jobs > 1 else run_all)(runs, args, suite.name)
    except KeyboardInterrupt:
        print(f'\nInterrupted. {how_to_resume()}', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    print(f'\nWritten to {args.results}')


if __name__ == '__main__':
    main()
