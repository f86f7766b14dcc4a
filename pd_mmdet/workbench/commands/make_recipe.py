"""Make a recipe of two plain configs: a folder that train_tas.py (pd-distill) trains.

STUDENT and TEACHER are configs of detectors, files or mmdet::…, or of classifiers, files or
mmpretrain::…, as you would train them on the large image; both have the same classes. The recipe
inherits them: data, schedule and pipelines stay theirs, and the small image, K times as small, is
made at the end of the student's pipelines.

  baseline.py   the student alone, on the small image; what changes in its model is written here.
                Names STUDENT as the ceiling: the student's network on the large image
  assistant.py  stage 1: the student's network, on the large image, learns from the teacher.
                Names TEACHER as model.teacher.cfg
  student.py    stage 2: the student, on the small image, learns from the assistant

Nothing else is needed. train_tas.py trains TEACHER and STUDENT as they are; its --one-stage trains
student.py with the teacher and the terms of assistant.py; export_student.py derives the config that
is deployed. Only where it says something else there is also

  one_stage.py  other terms than those of assistant.py can serve between teacher and student
  teacher.py, ceiling.py  copies of TEACHER and STUDENT, where these are configs in pure Python,
                which other files cannot inherit

Each file is short and meant to be edited. A loss that cannot serve the two is left out, with the
reason.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import textwrap
from pathlib import Path

from mmdet.utils import register_all_modules
from mmengine.logging import MMLogger

from ..recipes.make import Recipe, make_recipe


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example:\n  %(prog)s '
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py \\\n      '
        'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py --ratio 2 '
        '--out configs/faster_rcnn/mine_k2',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('student', metavar='STUDENT', help="the student's config")
    parser.add_argument('teacher', metavar='TEACHER', help="the teacher's config")
    parser.add_argument(
        '--ratio',
        required=True,
        metavar='K',
        help='side of the large image over that of the small one: 2, 3, 4, 1.5, 4/3',
    )
    parser.add_argument(
        '--enlarge',
        metavar='U',
        help='the student reads the small image made U times as large again, as Resize does with '
        'a small file: compute grows by U×U, bytes do not (default: K / 2 for a one-stage detector '
        'if --cells is not given, otherwise 1)',
    )
    parser.add_argument(
        '--cells',
        type=int,
        metavar='C',
        help="the student's dense head answers for C×C sub-cells of each of its cells, at most "
        'K / U: small objects are lost less (default: 2 for a one-stage detector whose head can '
        'and where K / U is at least 2, otherwise 1)',
    )
    parser.add_argument(
        '--teacher-ckpt',
        metavar='FILE',
        help='weights of the teacher (default: where train_tas.py leaves them)',
    )
    parser.add_argument(
        '--out',
        required=True,
        type=Path,
        metavar='DIR',
        help='folder of the recipe: new or empty, nothing is overwritten',
    )
    return parser.parse_args()


def report(recipe: Recipe, teacher_ckpt: str | None) -> str:
    """Say what was written, what was left out, and what to run next."""
    lines = [f'Written to {recipe.folder}, and every model built: {", ".join(recipe.files)}']
    enlarge, cells = recipe.source.enlarge, recipe.source.cells
    if enlarge != 1:
        lines.append(f'The student reads the small image enlarged {enlarge} times (--enlarge)')
    if cells != 1:
        lines.append(f"The student's head has {cells}×{cells} sub-cells in each cell (--cells)")
    if recipe.left_out:
        lines += ['Left out:']
        for what, reason in recipe.left_out.items():
            words = ' '.join(f'{what}: {reason}'.split())
            lines += textwrap.wrap(words, 100, initial_indent='  ', subsequent_indent='    ')
    # Called as an installed command or as a file of the checkout, so is the next.
    distil = ['python', 'tools/train_tas.py'] if sys.argv[0].endswith('.py') else ['pd-distill']
    command = [*distil, str(recipe.folder), '--baseline']
    if teacher_ckpt:
        command += ['--teacher-checkpoint', teacher_ckpt]
    return '\n'.join([*lines, 'Next:', f'  {shlex.join(command)}'])


def main() -> None:
    args = parse_args()
    register_all_modules()
    MMLogger.get_current_instance().setLevel('WARNING')  # it names each variable in each file
    try:
        recipe = make_recipe(
            args.student,
            args.teacher,
            args.ratio,
            args.out,
            args.teacher_ckpt,
            args.enlarge,
            args.cells,
        )
    except (ImportError, NotImplementedError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(report(recipe, args.teacher_ckpt))


if __name__ == '__main__':
    main()
