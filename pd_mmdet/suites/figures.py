"""Pictures of a suite's results over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .suite import Part, Suite
from .tables import AP, CEILING, Records, gap, of_row

SIZES = dict(small='bbox_mAP_s', medium='bbox_mAP_m', large='bbox_mAP_l')
SMALL, EDGE, OURS, LARGE = '#5c7a89', '#253237', '#e07a5f', '#a9b8bf'
DPI = 110


def ap_figure(suite: Suite, records: Records) -> Figure:
    """AP of every row that was run, a panel each part, with lines at H and B."""
    parts = [part for part in suite.parts if _run_rows(part, records)]
    heights = [len(_run_rows(part, records)) + 1 for part in parts]
    figure = Figure((8, 0.36 * sum(heights) + 0.6), dpi=DPI, layout='constrained')
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, part in zip(panels, parts):
        _ap_panel(panel, suite, part, records)
    return figure


def _ap_panel(panel: Axes, suite: Suite, part: Part, records: Records) -> None:
    names = _run_rows(part, records)
    values = {name: [100 * one[AP] for one in of_row(records, part, name)] for name in names}
    large = {name for name in names if of_row(records, part, name)[0]['view'] == 'hr'}
    for place, name in enumerate(names):
        colour = OURS if name == 'ours' else LARGE if name in large else SMALL
        panel.errorbar(
            mean(values[name]),
            place,
            xerr=_spread(values[name]),
            fmt='s' if name in large else 'o',
            color=colour,
            ecolor=EDGE,
            capsize=3,
        )
    panel.set_yticks(range(len(names)), [_plain(suite.rows[name].text) for name in names])
    between = gap(records, part)
    if between:
        for side in (between.ceiling, between.floor):
            panel.axvline(100 * mean(side), color=EDGE, linewidth=0.8, linestyle=':')
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.grid(axis='x', alpha=0.3)
    panel.set_title(part.title, fontsize=10, loc='left')
    panel.set_xlabel('AP, mean and standard deviation over seeds; squares: large image', fontsize=8)
    panel.tick_params(labelsize=8)


def sizes_of(records: Records) -> list[str]:
    """Which sizes of :data:`SIZES` objects have; COCO's AP of a size that none has is -1."""
    return [size for size, key in SIZES.items() if all(one[key] >= 0 for one in records)]


def sizes_figure(suite: Suite, part: Part, records: Records) -> Figure:
    """AP by the objects' size: undistilled, ours and H."""
    sizes = sizes_of(records)
    between = gap(records, part)
    names = [between.floor_row if between else 'baseline', 'ours', CEILING]
    figure = Figure((6.4, 3), dpi=DPI, layout='constrained')
    axes = figure.subplots()
    for place, (name, colour) in enumerate(zip(names, (SMALL, OURS, LARGE))):
        rows = of_row(records, part, name)
        if rows:
            values = [[100 * one[SIZES[size]] for one in rows] for size in sizes]
            axes.bar(
                [group + 0.27 * (place - 1) for group in range(len(sizes))],
                [mean(one) for one in values],
                width=0.25,
                yerr=[_spread(one) for one in values],
                color=colour,
                ecolor=EDGE,
                capsize=2,
                label=_plain(suite.rows[name].text),
            )
    axes.set_xticks(range(len(sizes)), [f'{size} objects' for size in sizes])
    axes.set_ylabel('AP')
    axes.set_title(part.title, fontsize=10, loc='left')
    axes.set_ylim(top=1.4 * axes.get_ylim()[1])
    axes.legend(fontsize=8, loc='upper left')
    return figure


def similarity_figure(rows: dict[str, Sequence[float]]) -> Figure:
    """How alike networks are to the assistant, a line each, over the levels of the pyramid."""
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


def _run_rows(part: Part, records: Records) -> list[str]:
    return [name for name in part.rows if of_row(records, part, name)]


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _plain(text: str) -> str:
    return text.replace('*', '')
