"""Make tables of a suite's results over seeds, with the gaps between rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import hypot
from statistics import mean, stdev
from typing import Any, NamedTuple

from ..stages.results import METRICS, known, markdown, of_set, percent, set_names
from .suite import Part, Suite

CEILING = 'ceiling'
FLOOR = ('baseline', 'baseline_long')
ENLARGED = 'enlarged_k'
"""Begins the name of the row that is undistilled and reads the small image as large as the large
one."""

SCORES = {'bbox_mAP': 'AP', 'balanced': 'balanced accuracy'}
"""Key of the metric that compares rows → its name: of detectors, of classifiers."""

Records = list[dict[str, Any]]


class Gap(NamedTuple):
    """The gap between the undistilled student and the same network on the large image.

    Args:
        ceiling: H: score of the network on the large image, for each seed.
        floor: B: score of the better undistilled row, for each seed.
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
        return spread(self.ceiling, self.floor)

    @property
    def clear(self) -> bool:
        """Tell whether it is larger than its standard deviation over seeds."""
        return self.spread is not None and self.size > self.spread

    def recovered(self, values: list[float]) -> float:
        """Return (S − B) / (H − B), with means over seeds."""
        return (mean(values) - mean(self.floor)) / self.size


def spread(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the standard deviation of a difference over seeds; None if there are too few."""
    if min(len(first), len(second)) < 2:
        return None
    return hypot(stdev(first), stdev(second))


def of_row(records: Records, part: Part, name: str) -> Records:
    """Return the records of a part's row, sorted by seed."""
    wanted = (part.recipe.name, name)
    found = [record for record in records if (record['recipe'], record['row']) == wanted]
    return sorted(found, key=lambda record: record['seed'])


def was_run(part: Part, records: Records) -> bool:
    """Tell whether one of its students was run: parts may share networks on the large image."""
    runs = [run for name in part.rows for run in of_row(records, part, name)]
    return any(run['view'] == 'lr' for run in runs)


def score_name(records: Records) -> str:
    """Return the name of the metric that compares rows."""
    return next((SCORES[key] for key in SCORES if any(key in row for row in records)), 'AP')


def known_scores(rows: Records) -> list[float]:
    """Return the metric of every run that compares rows; [] if one has none."""
    values = [next((row[key] for key in SCORES if key in row), None) for row in rows]
    return values if all(map(known, values)) else []


def gap(records: Records, part: Part) -> Gap | None:
    """Return the gap of a part's recipe; None if H or B was not run, or has no score."""
    values = {name: known_scores(of_row(records, part, name)) for name in (CEILING, *FLOOR)}
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

    It has metrics over seeds, coverage and recovered gap. Information gap, grid gap and the rows
    without results are named below.

    Args:
        suite: The suite, with the texts of the rows.
        part: One of its parts.
        records: Records of this suite, of one device.
    """
    tables = {name: _table(suite, part, rows) for name, rows in by_set(records).items()}
    return '\n'.join(f'Set {name}:\n\n{text}' if name else text for name, text in tables.items())


def _table(suite: Suite, part: Part, records: Records) -> str:
    metrics = {
        title: key
        for title, key in METRICS.items()
        if any(record.get(key) is not None for record in records)
    }
    unit = 'epochs' if any(record.get('epochs') for record in records) else 'iterations'
    covered = ['coverage'] if any(record['coverage'] is not None for record in records) else []
    header = ('row', 'image', *metrics, *covered, 'recovered gap', unit, 'seeds')
    between = gap(records, part)
    results = {name: of_row(records, part, name) for name in part.rows}
    rows = [
        (suite.rows[name].text, *_cells(runs, metrics, covered, between, unit))
        for name, runs in results.items()
        if runs
    ]
    missing = ', '.join(f'“{suite.rows[name].text}”' for name in results if not results[name])
    bounds = all(any(of_row(records, part, name) for name in side) for side in ((CEILING,), FLOOR))
    score = score_name(records)
    unknown = f'The {score} of H or B is not known: no recovered gap.'
    about = [
        unknown if bounds and between is None else _about(between, suite, score),
        *_finer_gaps(suite, part, records),
        *([f'Not run: {missing}.'] if missing else []),
    ]
    return f'{markdown([header, *rows])}\n\n{" ".join(about)}\n'


def _cells(
    rows: Records, metrics: dict[str, str], covered: list[str], between: Gap | None, unit: str
) -> Sequence[str]:
    first = rows[0]
    return (
        image_text(first),
        *(percent([row.get(key) for row in rows]) for key in metrics.values()),
        *('–' if first[key] is None else f'{100 * first[key]:.0f} %' for key in covered),
        _recovered(rows, between),
        str(first[unit]),
        str(len(rows)),
    )


def file_side(record: dict[str, Any]) -> tuple[int, int]:
    """Return width and height of the image as it is stored, before a network enlarges it."""
    width, height = (round(side / record.get('enlarge', 1)) for side in record['image_side'])
    return width, height


def image_text(record: dict[str, Any]) -> str:
    """Return the size of the stored image, and where it is enlarged, that of what is read."""
    sides = dict.fromkeys([file_side(record), tuple(record['image_side'])])
    return ' → '.join('×'.join(map(str, side)) for side in sides)


def _recovered(rows: Records, between: Gap | None) -> str:
    learns = rows[0]['view'] == 'lr' and rows[0]['row'] not in FLOOR
    values = known_scores(rows)
    if not learns or between is None or not between.clear or not values:
        return '–'
    return f'{100 * between.recovered(values):.0f} %'.replace('-', '−')


def _about(between: Gap | None, suite: Suite, score: str) -> str:
    if between is None:
        return 'H or B was not run: no recovered gap.'
    size = f'H − B = {100 * between.size:.1f} {score}'
    row = suite.rows[between.floor_row].text
    if between.clear:
        return f'{size}, with B “{row}”, the better of the two.'
    if between.spread is None:
        return f'{size} on one seed, whose spread is not known: no recovered gap is given.'
    spread = f"the seeds' spread, {100 * between.spread:.1f}"
    return f'{size} is within {spread}: no recovered gap is given.'


def _finer_gaps(suite: Suite, part: Part, records: Records) -> Iterator[str]:
    """Say what pixels lose and what cells lose, where the rows that tell it were run."""
    enlarged = next((name for name in part.rows if name.startswith(ENLARGED)), None)
    if enlarged is None:
        return
    gaps = {'Information gap': (CEILING, enlarged), 'Grid gap': (enlarged, FLOOR[0])}
    for title, names in gaps.items():
        above, below = (known_scores(of_row(records, part, name)) for name in names)
        if above and below:
            rows = ' − '.join(
                'H' if name == CEILING else f'“{suite.rows[name].text}”' for name in names
            )
            yield f'{title}, {rows}: {_difference(above, below)} {score_name(records)}.'


def _difference(above: Sequence[float], below: Sequence[float]) -> str:
    size = f'{100 * (mean(above) - mean(below)):.1f}'.replace('-', '−')
    deviation = spread(above, below)
    return size if deviation is None else f'{size} ± {100 * deviation:.1f}'
