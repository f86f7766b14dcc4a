"""Show all networks of a suite at once: scores against FLOPs, by the size of their files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import log10
from statistics import mean
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from ..costs.pareto import EDGE, LARGE, SMALL, pareto_front
from ..stages.results import kilobytes, markdown, percent, three_digits
from .suite import Suite
from .tables import Records, by_set, file_side, image_text, known_scores, of_row, score_name

SHAPES = 'soD^v'
"""Shapes of marks, for the largest files first."""

LINE = 9
"""Height of a line of text in points."""

COLUMN = 26
"""Marks closer than this, in points along the x axis, have their numbers in one column."""

KEY = 3.6
"""Width of the list of names in inches."""

PANEL = 7.6
"""Width of the picture beside it in inches."""


class Point(NamedTuple):
    """A row of a suite, with means over seeds.

    Args:
        recipe: Title of the part that ran it, without what follows a colon: networks and images.
        text: Name of the row.
        image: The stored image, and the enlarged one that is read, as in tables.
        side: Width and height of the stored image.
        jpeg90: Its mean bytes as JPEG of quality 90; None if they were not measured.
        flops: FLOPs of an image.
        scores: AP or balanced accuracy for each seed, 0 to 1.
    """

    recipe: str
    text: str
    image: str
    side: tuple[int, int]
    jpeg90: float | None
    flops: float
    scores: list[float]

    @property
    def place(self) -> tuple[float, float]:
        """FLOPs and mean score."""
        return self.flops, mean(self.scores)


def points_of(suite: Suite, records: Records) -> list[Point]:
    """Return the rows of all parts that have FLOPs and a score, the cheapest first.

    Args:
        suite: The suite.
        records: Its records of one device, with the metrics of one validation set.

    Returns:
        A row that several parts show of the same runs comes once, as the first of them has it.
    """
    found: dict[tuple[float | str, ...], Point] = {}
    for part in suite.parts:
        for name in part.rows:
            rows = of_row(records, part, name)
            scores = known_scores(rows)
            if scores:
                point = Point(
                    recipe=part.title.partition(':')[0],
                    text=suite.rows[name].text,
                    image=image_text(rows[0]),
                    side=file_side(rows[0]),
                    jpeg90=rows[0].get('jpeg90'),
                    flops=rows[0]['flops'],
                    scores=scores,
                )
                found.setdefault((name, point.image, point.flops, *scores), point)
    return sorted(found.values(), key=lambda point: point.place)


def front_of(points: Sequence[Point]) -> list[int]:
    """Return the places of the points on the Pareto front, the cheapest first."""
    return pareto_front([point.place for point in points])


def front_table(suite: Suite, records: Records, only_front: bool = False) -> str:
    """Make a table in Markdown of a suite's rows, for each validation set.

    Args:
        suite: The suite.
        records: Its records of one device.
        only_front: Leave out the rows that are not on the Pareto front.
    """
    tables = {
        name: _table(points_of(suite, rows), score_name(rows), only_front)
        for name, rows in by_set(records).items()
    }
    return '\n'.join(f'Set {name}:\n\n{text}' if name else text for name, text in tables.items())


def _table(points: Sequence[Point], score: str, only_front: bool) -> str:
    front = front_of(points)
    cells = [
        (
            f'{place + 1}. {point.text}',
            point.recipe,
            point.image,
            kilobytes(point.jpeg90),
            three_digits(round(point.flops)),
            percent(point.scores),
            'yes' if place in front else '',
        )
        for place, point in enumerate(points)
        if place in front or not only_front
    ]
    header = ('row', 'networks', 'image', 'JPEG 90', 'FLOPs', score, 'on the front')
    return f'{markdown([header, *cells])}\n'


def front_figure(suite: Suite, records: Records) -> Figure:
    """Draw scores against FLOPs of all rows, and their Pareto front; a panel a validation set.

    The numbers are those of :func:`front_table`; a list beside the panel names them. The shape of a
    mark says how large the stored image is.
    """
    sets = {name: points_of(suite, rows) for name, rows in by_set(records).items()}
    score = score_name([*by_set(records).values()][0])
    heights = [max(5.0, (_key_lines(points) + 6) * LINE / 72) for points in sets.values()]
    figure = Figure((PANEL + KEY, sum(heights)), dpi=110, layout='constrained')
    panels = figure.subplots(
        len(sets), 2, squeeze=False, width_ratios=[PANEL, KEY], height_ratios=heights
    )
    for (panel, key), (name, points), height in zip(panels, sets.items(), heights):
        _draw(panel, points, height)
        panel.set_ylabel(f'{score}, mean over seeds', fontsize=9)
        panel.set_title(f'{suite.title}, {name}' if name else suite.title, fontsize=10, loc='left')
        _write_key(key, points)
    return figure


def _draw(panel: Axes, points: Sequence[Point], height: float) -> None:
    front = front_of(points)
    shapes = _shapes(points)
    places = [(flops, 100 * score) for flops, score in (point.place for point in points)]
    line = [places[index] for index in front]
    panel.plot(*zip(*line), color=EDGE, linewidth=1, drawstyle='steps-post', zorder=1)
    for index, (point, place) in enumerate(zip(points, places)):
        panel.scatter(
            *place,
            marker=shapes[point.side][0],
            color=SMALL if index in front else LARGE,
            s=34,
            zorder=2,
        )
    panel.set_xscale('log')
    panel.margins(x=0.12, y=0.12)
    _write_numbers(panel, places, front, height)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(EngFormatter())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel('FLOPs of an image', fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    marks = [
        Line2D([], [], marker=shape, linestyle='', color=EDGE, label=label)
        for shape, label in shapes.values()
    ]
    panel.legend(
        handles=marks,
        fontsize=8,
        loc='lower right',
        title='stored image, as JPEG 90',
        title_fontsize=8,
    )


def _shapes(points: Sequence[Point]) -> dict[tuple[int, int], tuple[str, str]]:
    """Return size of the stored image → shape of a mark and its meaning, the largest first."""
    encoded = {point.side: point.jpeg90 for point in points}
    sides = sorted(encoded, reverse=True)
    meanings = ['large image', *(f'k = {sides[0][0] / width:g}' for width, _ in sides[1:])]
    return {
        side: (shape, f'{"×".join(map(str, side))}, {meaning}, {kilobytes(encoded[side])}')
        for side, shape, meaning in zip(sides, cycle(SHAPES), meanings)
    }


def _write_numbers(
    panel: Axes, places: Sequence[tuple[float, float]], front: Sequence[int], height: float
) -> None:
    """Write the numbers to the right of the marks, one above the other where marks are close."""
    low, high = panel.get_ylim()
    left, right = map(log10, panel.get_xlim())
    points_per_ap = 72 * 0.85 * height / (high - low)
    points_per_decade = 72 * 0.9 * PANEL / (right - left)
    columns: list[list[int]] = []
    for index, (flops, _) in enumerate(places):  # the cheapest first
        start = columns[-1][0] if columns else index
        near = points_per_decade * log10(flops / places[start][0]) < COLUMN
        if columns and near:
            columns[-1].append(index)
        else:
            columns.append([index])
    for column in columns:
        column.sort(key=lambda index: places[index][1])
        heights = spread_out([places[index][1] for index in column], LINE / points_per_ap)
        edge = places[max(column)][0] * 10 ** (14 / points_per_decade)
        for index, ap in zip(column, heights):
            panel.annotate(
                str(index + 1),
                places[index],
                (edge, ap),
                fontsize=7,
                va='center',
                weight='bold' if index in front else 'normal',
                bbox=dict(boxstyle='square,pad=0', facecolor='white', alpha=0.8, linewidth=0),
                arrowprops=dict(arrowstyle='-', color=EDGE, linewidth=0.4, shrinkA=2, shrinkB=2),
            )


def spread_out(values: Sequence[float], distance: float) -> list[float]:
    """Move ascending values apart, each as little as possible in the mean square.

    Values closer than ``distance`` become groups, evenly spaced around the mean of their values.
    """
    groups: list[list[float]] = []
    for place, value in enumerate(values):
        groups.append([value - place * distance])
        while len(groups) > 1 and mean(groups[-2]) > mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    level = [mean(group) for group in groups for _ in group]
    return [value + place * distance for place, value in enumerate(level)]


def _key_lines(points: Sequence[Point]) -> int:
    return len(points) + len({point.recipe for point in points})


def _write_key(key: Axes, points: Sequence[Point]) -> None:
    """List the numbers and names, by recipe, those on the front in bold."""
    key.set_axis_off()
    front = front_of(points)
    lines: list[tuple[str, str, str]] = []
    for recipe in dict.fromkeys(point.recipe for point in points):
        lines.append((recipe, EDGE, 'bold'))
        for index, point in enumerate(points):
            if point.recipe == recipe:
                best = index in front
                text = f'{index + 1}  {point.text.replace("*", "")}'
                lines.append((text, SMALL if best else EDGE, 'bold' if best else 'normal'))
    for place, (text, colour, weight) in enumerate(lines):
        line = key.annotate(
            text,
            (0, 1),
            (0, -LINE * place),
            xycoords='axes fraction',
            textcoords='offset points',
            fontsize=7,
            va='top',
            color=colour,
            weight=weight,
            annotation_clip=False,
        )
        line.set_in_layout(False)  # the panel beside it keeps its width
