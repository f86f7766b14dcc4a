"""Make docs/zoo.md: which of MMDetection's configs AFP can align."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import mmdet

from .chain import STEPS
from .check import CELLS, Verdict

CHAIN = '## The chain of commands'


class Row(NamedTuple):
    """A combination of parts, its configs, and the verdict on the one that was checked."""

    parts: tuple[str, ...]
    configs: Sequence[str]
    verdict: Verdict


def family(config: str) -> str:
    """Return the folder of a config in MMDetection, which usually stands for a paper."""
    return PurePath(config).parts[0]


def summary(rows: Iterable[Row]) -> str:
    """Count the configs and families of each status, in one sentence."""
    configs, families = Counter(), defaultdict(set)
    for row in rows:
        configs[row.verdict.status] += len(row.configs)
        families[row.verdict.status].update(map(family, row.configs))
    return (
        f'Of the {configs.total()} configs of {len(set.union(*families.values()))} families in '
        f'MMDetection {mmdet.__version__}, {configs["aligned"]} of {len(families["aligned"])} '
        f'families are aligned, {configs["refused"]} of {len(families["refused"])} are refused, '
        f'{configs["fails"]} fail, {configs["cannot predict"]} are aligned, but MMDetection itself '
        f'cannot predict with them, and {configs["broken"]} it cannot build.'
    )


def markdown(rows: Sequence[Row], unreadable: Sequence[str], command: str) -> str:
    """Make the page: tables of families and of checked combinations, and what cannot be read."""
    lines = [
        '# The zoo',
        '',
        f'Made by `{command}`. {summary(rows)}',
        '',
        'One config stands for all with the same detector, necks, heads, prior generators, coders, '
        'assigners and RoI extractors. '
        'Student and assistant are built from it, and checked on noise: the same state dict (1), '
        'outputs of the same shapes (2), the same priors (3), and of the same features the same '
        'losses, gradients and predictions (4). An aligned one has also predicted as it is in '
        'MMDetection, and was checked again with sub-cells, where its dense head can have them. '
        "The backbone is the config's own; heads have fewer "
        'convolutions, samplers take fewer samples; operators that only a GPU has are replaced by '
        'plain ones. A family is a folder of configs in MMDetection.',
        '',
        *_table(('family', 'configs', 'AFP'), _families(rows)),
        '',
        '## Checked',
        '',
        *_table(
            ('config', 'stands for', 'of', 'AFP', f'{CELLS}×{CELLS} sub-cells'),
            _combinations(rows),
        ),
    ]
    if unreadable:
        names = ', '.join(f'`{name}`' for name in unreadable)
        lines += ['', f'Not readable, since they inherit from files that are not there: {names}.']
    return '\n'.join(lines) + '\n'


def with_chain(page: str, chain: str) -> str:
    """Replace the section on the chain of commands, which is the last one of the page."""
    return f'{page.partition(CHAIN)[0].rstrip()}\n\n{chain}'


def chain_of(page: str) -> str:
    """Return the section on the chain of commands of a page; ``''`` if it has none."""
    _, title, text = page.partition(CHAIN)
    return title + text


def chain_section(outcomes: dict[str, dict[str, str]], command: str) -> str:
    """Make the section on the chain of commands: a row for each config, a column for each step.

    Args:
        outcomes: Name of a config → step → why it failed; ``''`` if it did not.
        command: The command that made it.
    """
    rows = [(name, *(_step(steps.get(step)) for step in STEPS)) for name, steps in outcomes.items()]
    lines = [
        CHAIN,
        '',
        f'Made by `{command}`. Each config goes through the commands as a user would: a recipe is '
        'made of it at ratio 2 (with itself as the teacher), all stages are trained for two '
        'iterations, the table and the picture are made, the student is exported, predicts in a '
        'process that cannot import this package what it predicted before, and its costs are '
        'reported. Pipelines, hooks, losses and metrics are the stock ones; networks are narrow, '
        'images few and small.',
        '',
        *_table(('config', *STEPS), rows),
    ]
    return '\n'.join(lines) + '\n'


def _step(reason: str | None) -> str:
    return '–' if reason is None else reason or '✓'


def _families(rows: Iterable[Row]) -> list[tuple]:
    kinds: defaultdict[str, Counter] = defaultdict(Counter)
    for row in rows:
        for config in row.configs:
            kinds[family(config)][row.verdict[1:3]] += 1
    return [(name, found.total(), _kinds(found)) for name, found in sorted(kinds.items())]


def _kinds(kinds: Counter) -> str:
    ordered = sorted(kinds.items())
    if len(ordered) == 1:
        return _reason(*ordered[0][0])
    return '; '.join(f'{n} {_reason(*kind)}' for kind, n in ordered)


def _reason(status: str, reason: str) -> str:
    return f'{status}: {reason}' if reason else status


def _combinations(rows: Iterable[Row]) -> list[tuple]:
    return [
        (
            row.verdict.config,
            len(row.configs),
            ', '.join(row.parts),
            _reason(row.verdict.status, row.verdict.reason),
            _step(row.verdict.cells),
        )
        for row in sorted(rows, key=lambda row: row.verdict.config)
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence]) -> list[str]:
    lines = [header, ['---:' if name in ('configs', 'stands for') else '---' for name in header]]
    cells = ([str(cell).replace('|', '\\|') for cell in row] for row in (*lines, *rows))
    return [f'| {" | ".join(row)} |' for row in cells]
