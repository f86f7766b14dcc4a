"""Write the results in benchmarks/results into pages and pictures.

    python benchmarks/report.py

In README.md, docs/*.md and the READMEs of configs, the text from one of these marks to
`<!-- end -->` is replaced:

- `<!-- results: PATTERN -->`: a table of the result files of train_tas.py that match the pattern,
  with mean and standard deviation over seeds;
- `<!-- costs: FILE -->`: the table of a result file of cost_report.py;
- `<!-- suite: NAME PART -->`: a table of one part (1, 2, …) of a suite of benchmarks/suites, for
  each device that has results (`suite_NAME_DEVICE.json`); rows without results are named below it;
- `<!-- rows: NAME -->`: a table of all rows of a suite by their FLOPs, with their Pareto front;
  `<!-- front: NAME -->`: only the rows on the front;
- `<!-- not-run: suites -->`: a sentence that names all parts of suites without results.

The pictures are docs/benchmark_NAME_DEVICE.png, docs/benchmark_NAME_DEVICE_sizes.png and
docs/benchmark_NAME_DEVICE_front.png for a suite, and docs/benchmark_FILE.png for the result files
of benchmarks/why.py (similarity_*.json) and tools/cost_report.py (costs_*.json).
"""

from __future__ import annotations

import argparse
import json
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

from pd_mmdet.visualization import save_picture
from pd_mmdet.workbench.costs import cost_report
from pd_mmdet.workbench.stages import results as report
from pd_mmdet.workbench.suites.figures import (
    scores_figure,
    similarity_figure,
    sizes_figure,
    sizes_of,
)
from pd_mmdet.workbench.suites.front import front_figure, front_table
from pd_mmdet.workbench.suites.records import read_results
from pd_mmdet.workbench.suites.suite import Suite, read_suite
from pd_mmdet.workbench.suites.tables import Records, by_set, part_table, was_run

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
SUITES = ROOT / 'benchmarks' / 'suites'
BLOCK = re.compile(
    r'(<!-- (results|costs|suite|rows|front|not-run): (\S+)(?: (\d+))? -->\n).*?(<!-- end -->)',
    re.DOTALL,
)


def texts() -> list[Path]:
    """Return the pages that have tables of results."""
    files = [ROOT / 'README.md', *ROOT.glob('docs/*.md'), *ROOT.glob('configs/*/README.md')]
    return sorted(file for file in files if BLOCK.search(file.read_text()))


def fill(text: str) -> str:
    """Replace the tables in the text of a page.

    Raises:
        FileNotFoundError: No file matches a pattern, or there is no such suite.
        IndexError: The suite has no such part.
    """

    def block(match: re.Match) -> str:
        kind, name, part = match[2], match[3], match[4]
        if kind == 'suite':
            made = suite_tables(name, int(part))
        elif kind in ('rows', 'front'):
            made = front_tables(name, only_front=kind == 'front')
        elif kind == 'not-run':
            made = not_run()
        else:
            made = table(name) if kind == 'results' else cost_table(name)
        return match[1] + made + match[5]

    return BLOCK.sub(block, text)


def table(pattern: str) -> str:
    """Return the table of the runs of a recipe with several seeds, with a row for each stage.

    Args:
        pattern: File names in benchmarks/results, such as ``bccd_seed*.json``.
    """
    files = sorted(RESULTS.glob(pattern))
    if not files:
        raise FileNotFoundError(f'no {pattern} in {RESULTS}')
    return stage_table([json.loads(file.read_text()) for file in files])


def stage_table(runs: list[dict[str, Any]]) -> str:
    """Return results of train_tas.py as Markdown. All ``runs`` have the same stages."""
    cells = report.table(list(zip(*(run['rows'] for run in runs), strict=True)))
    seeds = ', '.join(str(run['rows'][0]['seed']) for run in runs)
    return f'{report.markdown(cells)}\n\nSeeds: {seeds}.\n'


def cost_table(name: str) -> str:
    """Return the table of a file that tools/cost_report.py has written."""
    made = json.loads((RESULTS / name).read_text())
    notes = cost_report.notes(made['environment'], made['images'])
    return f'{report.markdown(cost_report.table(made["rows"]))}\n\n{notes}\n'


@cache
def suite_of(name: str) -> Suite:
    return read_suite(SUITES / f'{name}.py')


def results_of(name: str) -> dict[str, Records]:
    """Return the records of a suite by device."""
    found = {}
    for file in sorted(RESULTS.glob(f'suite_{name}_*.json')):
        device = file.stem.removeprefix(f'suite_{name}_')
        if '_' not in device:  # else it belongs to a suite with a longer name
            found[device] = read_results(file)['runs']
    return found


def suite_tables(name: str, number: int) -> str:
    """Return the tables of a part of a suite, counted from 1: one for each device with results."""
    suite = suite_of(name)
    part = suite.parts[number - 1]
    tables = [
        f'{part.title}, on a {device.upper()}:\n\n{part_table(suite, part, records)}'
        for device, records in results_of(name).items()
        if was_run(part, records)
    ]
    return '\n'.join(tables) or f'{part.title}: not run.\n'


def front_tables(name: str, only_front: bool = False) -> str:
    """Return the tables of a suite's rows by their FLOPs: one for each device with results."""
    suite = suite_of(name)
    rows = 'The rows on the front' if only_front else 'All rows'
    tables = [
        f'{rows}, on a {device.upper()}:\n\n{front_table(suite, records, only_front)}'
        for device, records in results_of(name).items()
    ]
    return '\n'.join(tables) or f'{suite.title}: not run.\n'


def not_run() -> str:
    """Return a sentence that names the suites without results, and single parts without results."""
    suites, parts = [], []
    for suite in all_suites():
        records = [record for runs in results_of(suite.name).values() for record in runs]
        missing = [f'“{part.title}”' for part in suite.parts if not was_run(part, records)]
        if len(missing) == len(suite.parts):
            suites.append(f'`{suite.name}`')
        elif missing:
            parts.append(f'of `{suite.name}` the parts {", ".join(missing)}')
    return f'Declared and not run: {"; ".join([", ".join(suites), *parts])}.\n'


def all_suites() -> list[Suite]:
    return [suite_of(file.stem) for file in sorted(SUITES.glob('*.py'))]


def draw() -> None:
    """Draw the pictures of all results."""
    # Suites that only choose weights have no pictures.
    for suite in (suite for suite in all_suites() if 'baseline_long' in suite.parts[0].rows):
        for device, records in results_of(suite.name).items():
            place = ROOT / 'docs' / f'benchmark_{suite.name}_{device}.png'
            save_picture(partial(scores_figure, suite, records), place)
            front = place.with_name(f'{place.stem}_front.png')
            save_picture(partial(front_figure, suite, records), front)
            if any(len(sizes_of(each)) > 1 for each in by_set(records).values()):
                sizes = partial(sizes_figure, suite, suite.parts[0], records)
                save_picture(sizes, place.with_name(f'{place.stem}_sizes.png'))
    for file in RESULTS.glob('similarity_*.json'):
        rows = json.loads(file.read_text())['rows']
        picture = ROOT / 'docs' / f'benchmark_{file.stem}.png'
        save_picture(partial(similarity_figure, rows), picture)
    for file in RESULTS.glob('costs_*.json'):
        rows = json.loads(file.read_text())['rows']
        picture = ROOT / 'docs' / f'benchmark_{file.stem}.png'
        save_picture(partial(cost_report.figure, rows), picture)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    for file in texts():
        text = file.read_text()
        file.write_text(fill(text))
        print(f'{file.relative_to(ROOT)}: {"unchanged" if fill(text) == text else "changed"}')
    draw()


if __name__ == '__main__':
    main()
