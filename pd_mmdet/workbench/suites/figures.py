"""Draw a suite's results over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..stages.results import known
from .suite import Part, Suite
from .tables import CEILING, Records, by_set, gap, known_scores, of_row, score_name, was_run

SIZES = dict(small='bbox_mAP_s', medium='bbox_mAP_m', large='bbox_mAP_l')
SMALL, EDGE, OURS, LARGE = '#5c7a89', '#253237', '#e07a5f', '#a9b8bf'
DPI = 110


def scores_figure(suite: Suite, records: Records) -> Figure:
    """Draw the scores of all rows with results, and lines at H and B; a panel a part and set.

    Parts without a student's result have none.
    """
    shown = [
        (part, name, set_records)
        for part in suite.parts
        for name, set_records in by_set(records).items()
        if was_run(part, set_records) and _rows_with_scores(part, set_records)
    ]
    heights = [len(_rows_with_scores(part, set_records)) + 1 for part, _, set_records in shown]
    figure = Figure((8, 0.36 * sum(heights) + 0.6), dpi=DPI, layout='constrained')
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (part, name, set_records) in zip(panels, shown):
        _scores_panel(panel, suite, part, set_records)
        panel.set_title(_title(part, name), fontsize=10, loc='left')
    return figure


def _title(part: Part, name: str) -> str:
    return f'{part.title}, {name}' if name else part.title


def _scores_panel(panel: Axes, suite: Suite, part: Part, records: Records) -> None:
    names = _rows_with_scores(part, records)
    values = {
        name: [100 * score for score in known_scores(of_row(records, part, name))] for name in names
    }
    large = {name for name in names if of_row(records, part, name)[0]['view'] == 'hr'}
    for place, name in enumerate(names):
        ours = '**' in suite.rows[name].text
        colour = OURS if ours else LARGE if name in large else SMALL
        panel.errorbar(
            mean(values[name]),
            place,
            xerr=_spread(values[name]),
            fmt='s' if name in large else 'o',
            color=colour,
            ecolor=EDGE,
            capsize=3,
        )
    panel.set_yticks(
        range(len(names)), [_without_emphasis(suite.rows[name].text) for name in names]
    )
    between = gap(records, part)
    if between:
        for side in (between.ceiling, between.floor):
            panel.axvline(100 * mean(side), color=EDGE, linewidth=0.8, linestyle=':')
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.grid(axis='x', alpha=0.3)
    panel.set_xlabel(
        f'{score_name(records)}, mean and standard deviation over seeds; squares: large image',
        fontsize=8,
    )
    panel.tick_params(labelsize=8)


def sizes_of(records: Records) -> list[str]:
    """Return the sizes of :data:`SIZES` that have an AP in all records of a validation set."""
    return [
        size for size, key in SIZES.items() if all(known(record.get(key)) for record in records)
    ]


def sizes_figure(suite: Suite, part: Part, records: Records) -> Figure:
    """Draw AP by size of the objects: undistilled, ours and H; a panel for each validation set."""
    shown = {
        name: set_records for name, set_records in by_set(records).items() if sizes_of(set_records)
    }
    figure = Figure((6.4, 3 * len(shown)), dpi=DPI, layout='constrained')
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for panel, (name, rows) in zip(panels, shown.items()):
        _sizes_panel(panel, suite, part, rows)
        panel.set_title(_title(part, name), fontsize=10, loc='left')
    return figure


def _sizes_panel(panel: Axes, suite: Suite, part: Part, records: Records) -> None:
    sizes = sizes_of(records)
    between = gap(records, part)
    names = [between.floor_row if between else 'baseline', 'ours', CEILING]
    for place, (name, colour) in enumerate(zip(names, (SMALL, OURS, LARGE))):
        rows = of_row(records, part, name)
        if rows:
            values = [[100 * row[SIZES[size]] for row in rows] for size in sizes]
            panel.bar(
                [group + 0.27 * (place - 1) for group in range(len(sizes))],
                [mean(runs) for runs in values],
                width=0.25,
                yerr=[_spread(runs) for runs in values],
                color=colour,
                ecolor=EDGE,
                capsize=2,
                label=_without_emphasis(suite.rows[name].text),
            )
    panel.set_xticks(range(len(sizes)), [f'{size} objects' for size in sizes])
    panel.set_ylabel('AP')
    panel.set_ylim(top=1.4 * panel.get_ylim()[1])
    panel.legend(fontsize=8, loc='upper left')


def similarity_figure(rows: dict[str, Sequence[float]]) -> Figure:
    """Draw how similar networks are to the assistant, over the levels of the pyramid."""
    figure = Figure((6.4, 3), dpi=DPI, layout='constrained')
    axes = figure.subplots()
    for name, values in rows.items():
        axes.plot(range(len(values)), values, marker='o', label=name)
    levels = range(max(map(len, rows.values())))
    axes.set_xticks(levels, [f'level {level}' for level in levels])
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("linear CKA with A's pyramid")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _rows_with_scores(part: Part, records: Records) -> list[str]:
    return [name for name in part.rows if known_scores(of_row(records, part, name))]


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _without_emphasis(text: str) -> str:
    """Remove Markdown's asterisks."""
    return text.replace('*', '')
