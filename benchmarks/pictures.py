"""Draw what some rows of a suite find on the same test images.

    python benchmarks/pictures.py work_dirs/benchmarks/hituav/RECIPE/seed1 \\
        teacher=teacher undistilled=cells_k2 distilled=ours_cells_k2 \\
        --images 20 120 220 320 420 520 --out docs/benchmark_hituav_images.jpg

Each column shows the image as that row's network reads it, after a column with the truth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from pd_mmdet.checkpoint import plain_data_only
from pd_mmdet.visualization import save_picture
from pd_mmdet.workbench.stages.comparison import draw
from pd_mmdet.workbench.stages.stage import Stage


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='WORK_DIR/RECIPE/seed<n> of benchmarks/run.py')
    parser.add_argument(
        'rows', nargs='+', metavar='TITLE=ROW', help='a finished run, and what is over its column'
    )
    parser.add_argument(
        '--images', type=int, nargs='+', required=True, help='indices in the test set'
    )
    parser.add_argument('--out', type=Path, required=True, help='the picture')
    args = parser.parse_args()
    untitled = [row for row in args.rows if '=' not in row]
    if untitled:
        parser.error(f'{", ".join(untitled)}: write TITLE=ROW')
    args.rows = dict(row.split('=', 1) for row in args.rows)
    missing = [row for row in args.rows.values() if not (args.folder / f'{row}.py').is_file()]
    if missing:
        parser.error(f'{args.folder} has no finished run of {", ".join(missing)}')
    return args


def main() -> None:
    args = parse_args()
    plain_data_only()
    stages = {
        title: Stage(row, Config.fromfile(args.folder / f'{row}.py'), args.folder / row)
        for title, row in args.rows.items()
    }
    if not save_picture(lambda: draw(stages, args.images), args.out):
        sys.exit(1)
    print(f'Written: {args.out}')


if __name__ == '__main__':
    main()
