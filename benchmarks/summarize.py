"""Bring the results of train_tas.py into a text: mean and standard deviation over seeds.

    python benchmarks/summarize.py README.md

In the text, each pair of comments `<!-- results: PATTERN -->` and `<!-- end -->` encloses a table,
which is made anew from the files of benchmarks/results that match the pattern.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any

RESULTS = Path(__file__).parent / 'results'
BLOCK = re.compile(r'(<!-- results: (\S+) -->\n).*?(<!-- end -->)', re.DOTALL)
AP = dict(
    AP='bbox_mAP',
    AP50='bbox_mAP_50',
    AP75='bbox_mAP_75',
    APs='bbox_mAP_s',
    APm='bbox_mAP_m',
    APl='bbox_mAP_l',
)


def points(values: list[float]) -> str:
    """AP values (0 to 1) as points, with their standard deviation where there are several."""
    if min(values) < 0:
        return '–'
    text = f'{100 * mean(values):.1f}'
    return f'{text} ± {100 * stdev(values):.1f}' if len(values) > 1 else text


def table(runs: list[dict[str, Any]]) -> str:
    """One row a stage, over runs that differ in their seeds only."""
    lines = [
        f'| stage | image | {" | ".join(AP)} | parameters | FLOPs | iterations |',
        f'| --- | ---: |{" ---: |" * (len(AP) + 3)}',
    ]
    for rows in zip(*(run['rows'] for run in runs), strict=True):
        row = rows[0]
        cells = [
            row['name'],
            '×'.join(map(str, row['image_side'])),
            *(points([other[key] for other in rows]) for key in AP.values()),
            f'{row["parameters"] / 1e6:.2f} M',
            f'{row["flops"] / 1e9:.2f} G',
            str(row['iterations']),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    seeds = ', '.join(str(run['rows'][0]['seed']) for run in runs)
    return '\n'.join(lines) + f'\n\nSeeds: {seeds}.\n'


def fill(text: str) -> str:
    """Make the tables of a text anew.

    Raises:
        FileNotFoundError: If no file matches a pattern.
        ValueError: If the text has no place for a table.
    """

    def block(match: re.Match) -> str:
        files = sorted(RESULTS.glob(match[2]))
        if not files:
            raise FileNotFoundError(f'no {match[2]} in {RESULTS}')
        return match[1] + table([json.loads(file.read_text()) for file in files]) + match[3]

    filled, number = BLOCK.subn(block, text)
    if not number:
        raise ValueError('the text has no <!-- results: PATTERN --> … <!-- end -->')
    return filled


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('text', type=Path, help='the text whose tables are made anew')
    text = parser.parse_args().text
    text.write_text(fill(text.read_text()))


if __name__ == '__main__':
    main()
