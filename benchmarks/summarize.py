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
from typing import Any

from pd_mmdet.recipes import report

RESULTS = Path(__file__).parent / 'results'
BLOCK = re.compile(r'(<!-- results: (\S+) -->\n).*?(<!-- end -->)', re.DOTALL)


def table(runs: list[dict[str, Any]]) -> str:
    """One row a stage, over runs that differ in their seeds only."""
    header, *cells = report.table(list(zip(*(run['rows'] for run in runs), strict=True)))
    rule = ['---', *['---:'] * (len(header) - 1)]
    lines = '\n'.join(f'| {" | ".join(line)} |' for line in (header, rule, *cells))
    seeds = ', '.join(str(run['rows'][0]['seed']) for run in runs)
    return f'{lines}\n\nSeeds: {seeds}.\n'


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
