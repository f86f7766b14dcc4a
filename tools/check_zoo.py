"""Check AFP on the detectors that MMDetection has configs for, and write docs/zoo.md.

Takes one config for each distinct combination of detector, necks, heads, prior generators, coders,
assigners and RoI extractors, builds student and assistant with random weights, and checks
invariants 1 to 4 on noise.
Needs no data, no GPU and no network. Exits with 1 if a config fails an invariant.

With --chain, a config of each kind of detector goes through all commands instead, from make_recipe
to the cost report, on a few small images; the page gets a table with a column for each step.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from fnmatch import fnmatch
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pd_mmdet.ratio import parse_ratio
from pd_mmdet.testing.zoo.chain import CHAIN, STOCK, StockProcess, run_chain
from pd_mmdet.testing.zoo.check import Verdict, check_config, prepare_process
from pd_mmdet.testing.zoo.configs import find_configs, parts, read_config, representatives
from pd_mmdet.testing.zoo.table import Row, chain_of, chain_section, markdown, summary, with_chain

CACHE = Path('work_dirs', 'check_zoo.jsonl')
CHAIN_CACHE = Path('work_dirs', 'check_zoo_chain.jsonl')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--all', action='store_true', help='check every config, which takes hours')
    parser.add_argument(
        '--configs',
        nargs='+',
        metavar='CONFIG',
        help="check these, files or patterns of MMDetection's ('atss/*'), and write no page",
    )
    parser.add_argument(
        '--chain', action='store_true', help='try the commands instead, which takes half an hour'
    )
    parser.add_argument('--ratio', type=parse_ratio, default=Fraction(2), help='default: 2')
    parser.add_argument('--jobs', type=int, default=2, help='processes (default: 2)')
    parser.add_argument(
        '--out', type=Path, default=Path('docs', 'zoo.md'), help='the page (default: docs/zoo.md)'
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help=f'keep the results in {CACHE} (or {CHAIN_CACHE}), except failures',
    )
    return parser.parse_args()


def select(patterns: list[str]) -> list[str]:
    """Find the configs that patterns or paths name; exit where one names none."""
    known = find_configs()
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [name for name in known if fnmatch(name, pattern)]
        if not found and Path(pattern).is_file():
            found = [pattern]
        if not found:
            sys.exit(f"error: {pattern} is neither a file nor a pattern of MMDetection's configs")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def read_parts(name: str) -> tuple[str, ...] | None:
    """List the parts of a config's model; None without a model of MMDetection."""
    cfg = read_config(name, imports=False)
    if not cfg.get('model') or cfg.get('default_scope') != 'mmdet':
        return None
    return parts(cfg.model)


def in_processes(function: Callable, names: Iterable, jobs: int) -> Iterator[tuple[Any, Any]]:
    """Call a function in processes; yield each name and the result or exception as they end."""
    context = multiprocessing.get_context('fork')  # torch and mmdet are imported once
    with ProcessPoolExecutor(jobs, context, initializer=prepare_process) as pool:
        futures = {pool.submit(function, name): name for name in names}
        try:
            for future in as_completed(futures):
                yield futures[future], future.exception() or future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_all(jobs: int) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Read the parts of all configs that have a model; also list the unreadable configs."""
    names = find_configs()
    print(f'Reading {len(names)} configs', flush=True)
    found = dict(in_processes(read_parts, names, jobs))
    unreadable = sorted(name for name, result in found.items() if isinstance(result, Exception))
    return {name: found[name] for name in names if isinstance(found[name], tuple)}, unreadable


def check_all(names: list[str], args: argparse.Namespace) -> dict[str, Verdict]:
    """Check configs, telling how far it is; what is done is kept in a file."""
    verdicts = {name: verdict for name, verdict in cached(args).items() if name in names}
    CACHE.parent.mkdir(exist_ok=True)
    start = time.time()
    with CACHE.open('a') as file:
        todo = [name for name in names if name not in verdicts]
        check = partial(check_config, ratio=args.ratio)
        for name, verdict in in_processes(check, todo, args.jobs):
            if isinstance(verdict, BrokenProcessPool):
                sys.exit('error: a process was killed, for want of memory? Try --resume --jobs 1')
            if isinstance(verdict, Exception):
                raise verdict
            verdicts[name] = verdict
            file.write(json.dumps([str(args.ratio), *verdict]) + '\n')
            file.flush()
            progress = f'[{len(verdicts)}/{len(names)}, {time.time() - start:.0f} s]'
            print(progress, name, verdict.status, verdict.reason, flush=True)
    return verdicts


def cached(args: argparse.Namespace) -> dict[str, Verdict]:
    """Read the verdicts of earlier runs at this ratio, except failures; none if not --resume."""
    if not args.resume:
        CACHE.unlink(missing_ok=True)
    if not CACHE.is_file():
        return {}
    lines = [json.loads(line) for line in CACHE.read_text().splitlines()]
    verdicts = (Verdict(*fields) for ratio, *fields in lines if ratio == str(args.ratio))
    return {verdict.config: verdict for verdict in verdicts if verdict.status != 'fails'}


def try_chain(number: int) -> dict[str, str]:
    """Take a config through all commands, in a folder that is removed afterwards."""
    with TemporaryDirectory() as folder, StockProcess() as stock:
        return run_chain(CHAIN[number], Path(folder, 'chain'), stock)


def chain(args: argparse.Namespace) -> None:
    """Try the commands on all configs of the chain, and write that section of the page."""
    outcomes = succeeded(args)
    todo = [number for number, link in enumerate(CHAIN) if str(link) not in outcomes]
    CHAIN_CACHE.parent.mkdir(exist_ok=True)
    with CHAIN_CACHE.open('a') as file:
        for number, outcome in in_processes(try_chain, todo, args.jobs):
            if isinstance(outcome, Exception):
                raise outcome
            name = str(CHAIN[number])
            outcomes[name] = outcome
            file.write(json.dumps([name, outcome]) + '\n')
            file.flush()
            failed = [f'{step}: {reason}' for step, reason in outcome.items() if reason]
            progress = f'[{len(outcomes)}/{len(CHAIN)}]'
            print(progress, name, '; '.join(failed) or 'ok', flush=True)
    ordered = {str(link): outcomes[str(link)] for link in CHAIN}
    section = chain_section(ordered, 'python tools/check_zoo.py --chain')
    args.out.write_text(with_chain(args.out.read_text(), section))
    print(f'Written: {args.out}')
    failing = [
        name
        for name, steps in ordered.items()
        if any(reason and not reason.startswith(STOCK) for reason in steps.values())
    ]
    if failing:
        sys.exit(f'{len(failing)} fail: {", ".join(failing)}')


def succeeded(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Read the outcomes of earlier runs whose steps all succeeded; none if not --resume."""
    if not args.resume:
        CHAIN_CACHE.unlink(missing_ok=True)
    if not CHAIN_CACHE.is_file():
        return {}
    names = {str(link) for link in CHAIN}
    lines = map(json.loads, CHAIN_CACHE.read_text().splitlines())
    return {name: outcome for name, outcome in lines if name in names and not any(outcome.values())}


def main() -> None:
    args = parse_args()
    if args.chain:
        chain(args)
        return
    if args.configs:
        verdicts = check_all(select(args.configs), args)
    else:
        combinations, unreadable = read_all(args.jobs)
        groups = representatives(combinations)
        if args.all:
            groups = {name: [name] for name in combinations}
        verdicts = check_all(sorted(groups), args)
        rows = [Row(combinations[name], groups[name], verdicts[name]) for name in sorted(groups)]
        command = 'python tools/check_zoo.py' + ' --all' * args.all
        if args.ratio != 2:
            command += f' --ratio {args.ratio}'
        page = markdown(rows, unreadable, command)
        kept = chain_of(args.out.read_text()) if args.out.is_file() else ''
        args.out.write_text(with_chain(page, kept) if kept else page)
        print(f'{summary(rows)}\nWritten: {args.out}')
    failing = sorted(name for name, verdict in verdicts.items() if verdict.status == 'fails')
    if failing:
        sys.exit(f'{len(failing)} fail: {", ".join(failing)}')


if __name__ == '__main__':
    main()
