"""Make tables of a suite's results over seeds, with the share of the gap that a row recovers."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from statistics import mean, stdev
from typing import Any, NamedTuple

from ..stages.results import METRICS, known, markdown, of_set, percent, set_names
from .suite import Part, Suite

CEILING = 'ceiling'
FLOOR = ('baseline', 'baseline_long')
AP = 'bbox_mAP'
AP_UNKNOWN = 'The AP of H or B is not known: no recovered gap.'
Records = list[dict[str, Any]]


class Gap(NamedTuple):
    """The gap between the undistilled student and the same network on the large image.

    Args:
        ceiling: H: AP of the network on the large image, for each seed.
        floor: B: AP of the better undistilled row, for each seed.
        floor_row: Name of that row.
    """

    ceiling: list[float]
    floor: list[float]
    floor_row: str

    @property
    def size(self) -> float:
        """H − B, with means over seeds."""
        return mean(self.ceiling) - mean(self.floor)

    @property
    def spread(self) -> float | None:
        """Standard deviation of H − B over seeds; None if there are too few seeds."""
        if min(len(self.ceiling), len(self.floor)) < 2:
            return None
        return hypot(stdev(self.ceiling), stdev(self.floor))

    @property
    def clear(self) -> bool:
        """Tell whether it is larger than its standard deviation over seeds."""
        return self.spread is not None and self.size > self.spread

    def recovered(self, values: list[float]) -> float:
        """Return (S − B) / (H − B), with means over seeds."""
        return (mean(values) - mean(self.floor)) / self.size


def of_row(records: Records, part: Part, name: str) -> Records:
    """Return the records of a part's row, sorted by seed."""
    wanted = (part.recipe.name, name)
    found = [record for record in records if (record['recipe'], record['row']) == wanted]
    return sorted(found, key=lambda record: record['seed'])


def known_ap(rows: Records) -> list[float]:
    """Return AP of every run; [] if one has none."""
    values = [row.get(AP) for row in rows]
    return values if all(map(known, values)) else []


def gap(records: Records, part: Part) -> Gap | None:
    """Return the gap of a part's recipe; None if H or B was not run, or has no AP."""
    values = {name: known_ap(of_row(records, part, name)) for name in (CEILING, *FLOOR)}
    floors = {name: values[name] for name in FLOOR if values[name]}
    if not values[CEILING] or not floors:
        return None
    best = max(floors, key=lambda name: mean(floors[name]))
    return Gap(values[CEILING], floors[best], best)


def by_set(records: Records) -> dict[str, Records]:
    """Return name of a validation set → records with its metrics; ``''`` is a single set."""
    return {name: [of_set(record, name) for record in records] for name in set_names(records)}


def part_table(suite: Suite, part: Part, records: Records) -> str:
    """Make a table of a part in Markdown, for each validation set.

    It has metrics over seeds, coverage and recovered gap. Rows without results are named below.

    Args:
        suite: The suite, with the texts of the rows.
        part: One of its parts.
        records: Records of this suite, of one device.
    """
    tables = {name: _table(suite, part, rows) for name, rows in by_set(records).items()}
    return '\n'.join(f'Set {name}:\n\n{text}' if name else text for name, text in tables.items())


def _table(suite: Suite, part: Part, records: Records) -> str:
    metrics = {title: key for title, key in METRICS.items() if key.startswith('bbox_')}
    unit = 'epochs' if any(record.get('epochs') for record in records) else 'iterations'
    header = ('row', 'image', *metrics, 'coverage', 'recovered gap', unit, 'seeds')
    between = gap(records, part)
    results = {name: of_row(records, part, name) for name in part.rows}
    rows = [
        (suite.rows[name].text, *_cells(runs, metrics, between, unit))
        for name, runs in results.items()
        if runs
    ]
    missing = ', '.join(f'“{suite.rows[name].text}”' for name in results if not results[name])
    was_run = all(any(of_row(records, part, name) for name in side) for side in ((CEILING,), FLOOR))
    about = AP_UNKNOWN if was_run and between is None else _about(between, suite)
    not_run = f' Not run: {missing}.' if missing else ''
    return f'{markdown([header, *rows])}\n\n{about}{not_run}\n'


def _cells(rows: Records, metrics: dict[str, str], between: Gap | None, unit: str) -> Sequence[str]:
    first = rows[0]
    coverage = first['coverage']
    return (
        '×'.join(map(str, first['image_side'])),
        *(percent([row.get(key) for row in rows]) for key in metrics.values()),
        '–' if coverage is None else f'{100 * coverage:.0f} %',
        _recovered(rows, between),
        str(first[unit]),
        str(len(rows)),
    )


def _recovered(rows: Records, between: Gap | None) -> str:
    learns = rows[0]['view'] == 'lr' and rows[0]['row'] not in FLOOR
    values = known_ap(rows)
    if not learns or between is None or not between.clear or not values:
        return '–'
    return f'{100 * between.recovered(values):.0f} %'


def _about(between: Gap | None, suite: Suite) -> str:
    if between is None:
        return 'H or B was not run: no recovered gap.'
    size = f'H − B = {100 * between.size:.1f} AP'
    row = suite.rows[between.floor_row].text
    if between.clear:
        return f'{size}, with B “{row}”, the better of the two.'
    if between.spread is None:
        return f'{size} on one seed, whose spread is not known: no recovered gap is given.'
    spread = f"the seeds' spread, {100 * between.spread:.1f}"
    return f'{size} is within {spread}: no recovered gap is given.'
