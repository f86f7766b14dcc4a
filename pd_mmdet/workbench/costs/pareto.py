"""Plot accuracy against each cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from ..stages.results import known

COLUMNS = 3
LARGE, SMALL, EDGE = '#78909c', '#e07a5f', '#253237'


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, score) on the Pareto front, the cheapest first."""
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def cost_figure(
    rows: Sequence[dict[str, Any]], costs: dict[str, str], scores: dict[str, str]
) -> Figure:
    """Draw a panel for each pair of score and cost, with the networks' numbers and a list of names.

    Args:
        rows: Networks with ``name``, ``view``, costs and scores; those without a score are left
            out.
        costs: Key of a cost → label of its axis.
        scores: Key of a score, 0 to 1 → label of its axis.
    """
    lines = ceil(len(costs) / COLUMNS)
    names = [_mark(row['view'], f'{number}  {row["name"]}') for number, row in enumerate(rows, 1)]
    size = (4 * COLUMNS, 3.1 * lines * len(scores) + 0.2 * ceil(len(names) / 2))
    figure = Figure(size, dpi=100, layout='constrained')
    panels = figure.subplots(lines * len(scores), COLUMNS, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for place, (score, title) in enumerate(scores.items()):
        shown = [
            dict(row, number=number) for number, row in enumerate(rows, 1) if known(row.get(score))
        ]
        for panel, (key, label) in zip(panels[place * lines :].flat, costs.items()):
            panel.set_axis_on()
            _panel(panel, [row for row in shown if row.get(key) is not None], key, score)
            panel.set_xlabel(label, fontsize=9)
            panel.set_ylabel(title, fontsize=9)
    figure.legend(handles=names, loc='outside lower center', ncols=2, fontsize=9, frameon=False)
    return figure


def _mark(view: str, label: str) -> Line2D:
    return Line2D([], [], marker='o', linestyle='', color=_colour(view), label=label)


def _colour(view: str) -> str:
    return SMALL if view == 'lr' else LARGE


def _panel(panel: Axes, rows: list[dict[str, Any]], key: str, score: str) -> None:
    points = [(row[key], 100 * row[score]) for row in rows]
    if not points:
        return
    front = [points[index] for index in pareto_front(points)]
    panel.plot(*zip(*front), color=EDGE, linewidth=1, drawstyle='steps-post', zorder=1)
    panel.scatter(*zip(*points), c=[_colour(row['view']) for row in rows], s=36, zorder=2)
    for row, point in zip(rows, points):
        panel.annotate(
            str(row['number']), point, xytext=(5, 3), textcoords='offset points', fontsize=8
        )
    panel.xaxis.set_major_formatter(EngFormatter())
    panel.margins(x=0.25, y=0.15)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
