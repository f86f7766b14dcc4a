"""Analyse the finished runs of one seed of a suite: show the effects of distillation.

    python benchmarks/why.py work_dirs/benchmarks/bccd/retinanet_r34-r18_bccd_k2/seed1

- Similarity, for each level, of the student's feature pyramid on small images to its assistant's on
  large images: for a student with the assistant's weights before training, an undistilled student,
  and a distilled student. Written to benchmarks/results/similarity_RECIPE_SEED.json, from which
  benchmarks/report.py draws a picture.
- Images that ISRD has rebuilt during training, from the pictures of ISRDVisualizationHook. Written
  to docs/benchmark_isrd.jpg.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from pd_mmdet.checkpoint import load_data, plain_data_only
from pd_mmdet.distillers.teacher import student_part
from pd_mmdet.workbench.stages.results import environment
from pd_mmdet.workbench.stages.stage import Stage
from pd_mmdet.workbench.suites.similarity import similarities

ROOT = Path(__file__).parents[1]
ROWS = dict(
    assistant="A's weights, not trained on small images",
    baseline='undistilled',
    baseline_long='undistilled, trained longer',
    ours='ours',
)
"""Rows of a suite whose weights are compared -> their names in pictures."""

SHOWN = 4
"""Number of iterations for which rebuilt images are shown."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='WORK_DIR/RECIPE/seed<n> of benchmarks/run.py')
    parser.add_argument(
        '--images', type=int, default=32, help='number of photographs to compare (default: 32)'
    )
    args = parser.parse_args()
    missing = [row for row in ROWS if not (args.folder / f'{row}.py').is_file()]
    if missing:
        parser.error(f'{args.folder} has no finished run of the rows {", ".join(missing)}')
    return args


def stage(folder: Path, row: str) -> Stage:
    return Stage(row, Config.fromfile(folder / f'{row}.py'), folder / row)


def compare(folder: Path, images: int) -> dict:
    """Compute the similarities; return them with the command and the environment."""
    stages = {row: stage(folder, row) for row in ROWS}
    weights = {row: student_part(load_data(run.checkpoint)) for row, run in stages.items()}
    found = similarities(stages['ours'].cfg, stages['assistant'].cfg, weights, images)
    return dict(
        rows={ROWS[row]: values for row, values in found.items()},
        images=images,
        command=shlex.join(['python', *sys.argv]),
        environment=environment('mmdet'),
    )


def reconstructions(folder: Path) -> Figure:
    """Draw a row for each image: small image, rebuilt images of several iterations, large image."""
    files = sorted((folder / 'ours').glob('*/vis_data/vis_image/isrd_*_*.png'))
    by_image: dict[int, dict[int, np.ndarray]] = {}
    for file in files:
        image, iteration = (int(part) for part in file.stem.split('_')[1:])
        by_image.setdefault(image, {})[iteration] = cv2.imread(str(file))[..., ::-1]
    rows = [_row(pictures) for _, pictures in sorted(by_image.items())]
    figure = Figure((3 * len(rows[0]), 2.6 * len(rows)), dpi=100, layout='constrained')
    panels = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for line, row in zip(panels, rows):
        for panel, (title, picture) in zip(line, row.items()):
            panel.imshow(picture)
            panel.set_title(title, fontsize=11)
            panel.set_axis_off()
    return figure


def _row(pictures: dict[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrange the pictures of one image in a row: title -> panel.

    Args:
        pictures: Iteration -> picture (H, 3·W, 3): small, rebuilt and large image side by side.
    """
    steps = sorted(pictures)
    shown = [steps[place * (len(steps) - 1) // (SHOWN - 1)] for place in range(SHOWN)]
    small, _, large = np.split(pictures[steps[0]], 3, axis=1)
    rebuilt = {f'iteration {step}': np.split(pictures[step], 3, axis=1)[1] for step in shown}
    return {'small image': small} | rebuilt | {'large image': large}


def main() -> None:
    args = parse_args()
    plain_data_only()
    made = compare(args.folder, args.images)
    recipe, seed = args.folder.resolve().parts[-2:]
    kept = ROOT / 'benchmarks' / 'results' / f'similarity_{recipe}_{seed}.json'
    kept.write_text(json.dumps(made, indent=2) + '\n')
    for row, values in made['rows'].items():
        print(f'{row}: {", ".join(f"{value:.2f}" for value in values)}')
    reconstructions(args.folder).savefig(ROOT / 'docs' / 'benchmark_isrd.jpg')
    print(f'Written to {kept} and docs/benchmark_isrd.jpg')


if __name__ == '__main__':
    main()
