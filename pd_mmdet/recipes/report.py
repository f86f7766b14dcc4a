"""The results of a recipe: a table on the screen, ``results.md`` and ``results.json``."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmengine.config import Config
from terminaltables import AsciiTable, GithubFlavoredMarkdownTable

from ..ratio import parse_ratio
from .evaluate import AP_NAMES

HEADER = (
    *('stage', 'image', 'AP', 'AP50', 'AP75', 'APs', 'APm', 'APl'),
    *('parameters', 'FLOPs', 'iterations'),
)
NOTES = """\
AP: COCO's, in points, of the last checkpoint on the validation set; – where no object has that
size. Parameters and FLOPs (a multiplication and its addition are one) are of the deployed
detector, on the first validation image. Image: width x height as the detector reads it."""


def results(recipe: Path, student_cfg: Config, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All that is known of a run of a recipe.

    Args:
        recipe: The folder of its configs.
        student_cfg: The student's config, whose ``model.ratio`` is recorded.
        rows: See :func:`stage_row`.
    """
    ratio = parse_ratio(student_cfg.model.ratio)
    return dict(
        recipe=recipe.resolve().name,
        ratio=int(ratio) if ratio.denominator == 1 else float(ratio),
        rows=rows,
        environment=dict(
            torch=torch.__version__,
            mmdet=mmdet.__version__,
            device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
            date=date.today().isoformat(),
            command=shlex.join(['python', *sys.argv]),
        ),
    )


def write(content: dict[str, Any], work_dir: Path) -> str:
    """Write ``results.json`` and ``results.md``.

    Args:
        content: See :func:`results`.
        work_dir: Where they are written.

    Returns:
        The table for the screen.
    """
    (work_dir / 'results.json').write_text(json.dumps(content, indent=2) + '\n')
    cells = [HEADER, *(_cells(row) for row in content['rows'])]
    environment = ', '.join(f'{key} {value}' for key, value in content['environment'].items())
    title = f'{content["recipe"]}, ratio {content["ratio"]}'
    paragraphs = [f'# {title}', _right_aligned(cells, GithubFlavoredMarkdownTable), NOTES]
    (work_dir / 'results.md').write_text(
        '\n\n'.join([*paragraphs, f'Made with {environment}.']) + '\n', encoding='utf-8'
    )
    return f'{title}\n{_right_aligned(cells, AsciiTable)}\n{NOTES}'


def _right_aligned(cells: list[tuple[str, ...]], kind: type[AsciiTable]) -> str:
    table = kind(cells)
    table.justify_columns = dict.fromkeys(range(1, len(HEADER)), 'right')
    return table.table


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row['name'],
        'x'.join(map(str, row['image_side'])),
        *('–' if row[name] < 0 else f'{100 * row[name]:.1f}' for name in AP_NAMES),
        f'{row["parameters"] / 1e6:.2f} M',
        f'{row["flops"] / 1e9:.2f} G',
        '–' if row['iterations'] is None else str(row['iterations']),
    )
