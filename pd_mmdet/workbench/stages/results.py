"""Write the results of a recipe: a table on the screen, ``results.md`` and ``results.json``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from mmengine.config import Config
from terminaltables import AsciiTable, GithubFlavoredMarkdownTable

from ...ratio import parse_ratio
from ..deployed_data import small_file
from ..tasks import task_of

METRICS = {
    'AP': 'bbox_mAP',
    'AP50': 'bbox_mAP_50',
    'AP75': 'bbox_mAP_75',
    'APs': 'bbox_mAP_s',
    'APm': 'bbox_mAP_m',
    'APl': 'bbox_mAP_l',
    'top-1': 'top1',
    'top-5': 'top5',
    'balanced': 'balanced',
}
"""Title of a column → key of a row; a table has the columns that its rows have."""

SETS = 'Set: a validation set, by its name or its number in the config.'
"""Explains the column of a table with several sets."""

UNITS = ('', 'k', 'M', 'G', 'T')


def results(recipe: Path, student_cfg: Config, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Collect the results of a recipe.

    Args:
        recipe: Folder of its configs.
        student_cfg: The student's config, with ``default_scope``. Its training data have
            ``LowResolution``; without it, the files are as small as ``model.ratio`` says.
        rows: See :func:`stage_row`.
    """
    views = parse_ratio(student_cfg.model.ratio, allow_one=True)
    ratio, enlarge = small_file(student_cfg.get('train_dataloader')) or (views, Fraction(1))
    scope = task_of(student_cfg).scope
    return dict(
        recipe=recipe.resolve().name,
        ratio=_number(ratio),
        enlarge=_number(enlarge),
        rows=rows,
        environment=environment(scope) | dict(command=shlex.join(['python', *sys.argv])),
    )


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def environment(scope: str) -> dict[str, str]:
    """Return versions, device and date; ``scope`` is the package of the task's library."""
    return dict(
        torch=torch.__version__,
        **{scope: import_module(scope).__version__},
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        date=date.today().isoformat(),
    )


def write(content: dict[str, Any], notes: str, work_dir: Path) -> str:
    """Write ``results.json`` and ``results.md``.

    Args:
        content: See :func:`results`.
        notes: Explanation of the columns.
        work_dir: Folder for the files.

    Returns:
        The table for the screen.
    """
    (work_dir / 'results.json').write_text(json.dumps(content, indent=2) + '\n')
    cells = table([[row] for row in content['rows']])
    if len(set_names(content['rows'])) > 1:
        notes = f'{notes}\n{SETS}'
    environment = ', '.join(f'{key} {value}' for key, value in content['environment'].items())
    title = f'{content["recipe"]}, ratio {content["ratio"]}'
    if content['enlarge'] != 1:
        title += f', enlarge {content["enlarge"]}'
    paragraphs = [f'# {title}', right_aligned(cells, GithubFlavoredMarkdownTable), notes]
    (work_dir / 'results.md').write_text(
        '\n\n'.join([*paragraphs, f'Made with {environment}.']) + '\n', encoding='utf-8'
    )
    return f'{title}\n{right_aligned(cells, AsciiTable)}\n{notes}'


def table(stages: list[list[dict[str, Any]]]) -> list[tuple[str, ...]]:
    """Return the cells of a table, the header first.

    With several validation sets there are lines of all stages for the first set, then for the next.

    Args:
        stages: For each stage, its rows in runs that differ only in the seed.
    """
    first = [rows[0] for rows in stages]
    sets = set_names(first)
    metrics = {
        title: key
        for title, key in METRICS.items()
        if any(key in of_set(row, name) for row in first for name in sets)
    }
    unit = 'epochs' if all(row.get('epochs') for row in first) else 'iterations'
    which = ['set'] if len(sets) > 1 else []
    header = ('stage', *which, 'image', *metrics, 'parameters', 'FLOPs', unit)
    lines = []
    for name in sets:
        for rows in stages:
            stage, *cells = _cells([of_set(row, name) for row in rows], metrics.values(), unit)
            lines.append((stage, *([name] if which else []), *cells))
    return [header, *lines]


def set_names(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return the names of the validation sets in rows; ``''`` is the only set of a config.

    Args:
        rows: See :func:`stage_row`.
    """
    keys = (key.rpartition('/') for row in rows for key in row)
    return list(dict.fromkeys(name for name, _, key in keys if key in METRICS.values())) or ['']


def of_set(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a row with the metrics of one validation set under the keys of ``METRICS``."""
    if not name:
        return row
    keys = [key for key in METRICS.values() if f'{name}/{key}' in row]
    return row | {key: row[f'{name}/{key}'] for key in keys}


def _cells(rows: list[dict[str, Any]], metrics: Iterable[str], unit: str) -> tuple[str, ...]:
    row = rows[0]
    return (
        row['name'],
        '×'.join(map(str, row['image_side'])),
        *(percent([row.get(key) for row in rows]) for key in metrics),
        three_digits(row['parameters']),
        three_digits(row['flops']),
        '–' if row[unit] is None else str(row[unit]),
    )


def known(value: float | None) -> bool:
    """Return whether a metric has a value: None was not measured, -1 has no meaning."""
    return value is not None and value >= 0


def percent(values: list[float | None]) -> str:
    """Format the mean of values from 0 to 1, times 100, and the standard deviation of several.

    "–" if one of them is not known.
    """
    if not all(map(known, values)):
        return '–'
    text = f'{100 * mean(values):.1f}'
    return f'{text} ± {100 * stdev(values):.1f}' if len(values) > 1 else text


def three_digits(count: int) -> str:
    """Format a count with three digits and a unit: 0.172 G, 2.37 M, 17.2 M."""
    digits, exponent = f'{count:.2e}'.split('e')  # rounded first: 99 990 000 is 0.100 G
    unit, place = divmod(int(exponent) + 1, 3)
    return (
        f'{float(digits) * 10 ** (place - 1):.{3 - place}f} {UNITS[unit]}' if unit else str(count)
    )


def kilobytes(count: float | None) -> str:
    """Format bytes as kB: 4.9 kB; a dash for None."""
    return '–' if count is None else f'{count / 1000:.1f} kB'


def markdown(cells: list[tuple[str, ...]]) -> str:
    """Format cells as a Markdown table; the first column is text, the others are numbers."""
    header, *rows = cells
    rule = ('---', *['---:'] * (len(header) - 1))
    return '\n'.join(f'| {" | ".join(line)} |' for line in (header, rule, *rows))


def right_aligned(cells: list[tuple[str, ...]], kind: type[AsciiTable]) -> str:
    """Format cells as a table of some kind, all columns but the first aligned to the right."""
    table = kind(cells)
    table.justify_columns = dict.fromkeys(range(1, len(cells[0])), 'right')
    return table.table
