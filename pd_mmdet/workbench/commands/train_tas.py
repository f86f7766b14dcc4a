"""Train all stages of a recipe, one after the other, and show what each reaches and costs.

A recipe is a folder of plain configs, each of which train.py (pd-train) can train alone:

  assistant.py  stage 1: the student's network, on the large image, learns from the teacher
  student.py    stage 2: the student, on the small image, learns from the assistant
  baseline.py   the student alone, on the small image (--baseline)

Three more stages need no file, but a file of their name comes first where there is one:

  teacher       the config that assistant.py names as model.teacher.cfg
  ceiling       the config that baseline.py names as ceiling (--ceiling)
  one_stage     student.py with the teacher and the terms of assistant.py (--one-stage)

The order is teacher, ceiling, assistant, student, one_stage, baseline, baseline_long. Each stage
learns from the last checkpoint of the one before it, whose path is put into its config, at
model.teacher.checkpoint and, where that is the same, load_from. (The environment variables
TEACHER_CHECKPOINT and ASSISTANT_CHECKPOINT are for configs that are trained alone.)

After an interruption the same command continues: finished stages are not trained again. In the end
the work folder has a config and a folder for each stage, results.md, results.json, and
comparison.png: the same validation images with ground truth, teacher, baseline and student, each as
it reads them. A picture that cannot be drawn is a warning. Of several validation sets (a
ConcatDataset) the results have a line each.

Recipes of detectors (MMDetection) and of classifiers (MMPretrain) are told by their default_scope.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from ...checkpoint import plain_data_only
from ...visualization import save_picture
from ..stages import comparison, evaluate
from ..stages import results as report
from ..stages.preflight import check_data
from ..stages.pretrained import check_pretrained
from ..stages.stage import Stage, plan
from ..tasks import task_of
from .options import (
    add_training_options,
    check_training_options,
    how_to_resume,
    overrides,
    train_or_exit,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('recipe', type=Path, help='folder of configs')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help="folder of all results (default: work_dirs/ and the recipe folder's name)",
    )
    parser.add_argument(
        '--teacher-checkpoint',
        type=Path,
        metavar='FILE',
        help='weights of the teacher, which then is not trained, only evaluated',
    )
    parser.add_argument(
        '--baseline',
        action='store_true',
        help='also train baseline.py, the undistilled student: as long as it says, and as long as '
        'all stages on the way to the student together (baseline_long)',
    )
    parser.add_argument(
        '--ceiling',
        action='store_true',
        help="also train the ceiling: the student's network on the large image, undistilled",
    )
    parser.add_argument(
        '--one-stage',
        action='store_true',
        help='also train the student from the teacher at once, without an assistant',
    )
    add_training_options(parser)
    args = parser.parse_args()
    check_training_options(parser, args)
    args.work_dir = args.work_dir or Path('work_dirs', args.recipe.resolve().name)
    return args


def train(stages: list[Stage], gpus: int = 1) -> None:
    """Train the stages that are not finished; exits with the code of one that fails."""
    for number, stage in enumerate(stages, 1):
        print(f'\n[{number}/{len(stages)}] {stage}', flush=True)
        train_or_exit(stage, gpus)


def main() -> None:
    args = parse_args()
    plain_data_only()
    extras = [name for name in ('ceiling', 'one_stage', 'baseline') if getattr(args, name)]
    try:
        stages = plan(args.recipe, args.work_dir, extras, args.teacher_checkpoint, overrides(args))
        task = task_of(stages[0].cfg)
        check_pretrained(stages)
        check_data(stages)
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'{task.name}: {args.recipe}', flush=True)
    # A plain kill, too, must end the training of the stage.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        train(stages, args.gpus)
        print(f'\nEvaluating {len(stages)} stages', flush=True)
        rows = [evaluate.stage_row(stage, args.work_dir) for stage in stages]
        student = next(stage for stage in stages if stage.name == 'student')
        results = report.results(args.recipe, student.cfg, rows)
        print(f'\n{report.write(results, task.notes, args.work_dir)}\n', flush=True)
        file = args.work_dir / 'comparison.png'
        drawn = save_picture(lambda: comparison.compare(stages), file)
    except KeyboardInterrupt:
        print(f'\nInterrupted. {how_to_resume()}', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    files = ['results.md', 'results.json', *[file.name] * drawn]
    print(f'Written to {args.work_dir}: {", ".join(files)}')


if __name__ == '__main__':
    main()
