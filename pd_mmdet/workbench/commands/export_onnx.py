"""Write a student as one ONNX file, from the bytes of a small image to boxes or scores.

    %(prog)s my_recipe/student.py work_dirs/my_recipe/student/epoch_12.pth student.onnx

The file holds everything: enlarging, channel order, normalisation, network, decoding and
suppression. Before it gets its name it is run by ONNX Runtime on validation images, of odd sizes
too, and compared with what the student itself predicts; a difference is an error. With --int8 a
second file, OUT.int8.onnx, has layers of eight bits, unless that costs more than --max-drop.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...checkpoint import plain_data_only
from ..onnx.write import OLDEST_OPSET, check_options, write_onnx


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config of a student: student.py or baseline.py')
    parser.add_argument('checkpoint', help='a checkpoint that its training wrote')
    parser.add_argument('out', type=Path, metavar='OUT.onnx', help='new file')
    parser.add_argument(
        '--fixed-size',
        action='store_true',
        help='read images of one size only, that of the first validation image: for runtimes that '
        'want it (default: any size, where the student allows it)',
    )
    parser.add_argument(
        '--grey', action='store_true', help='read one channel, of a grey camera, and repeat it'
    )
    parser.add_argument(
        '--images', type=int, default=8, metavar='N', help='validation images to compare on, '
        'beside parts of them of odd sizes (default: 8)'
    )
    parser.add_argument(
        '--opset', type=int, default=OLDEST_OPSET, help=f'(default: {OLDEST_OPSET})'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    plain_data_only()
    try:
        check_options(args.out, args.opset)
        from ..onnx.student import load_student

        student = load_student(args.config, args.checkpoint)
        difference, dynamic = write_onnx(
            student, args.out, args.opset, args.fixed_size, args.grey, args.images
        )
    except (FileExistsError, FileNotFoundError, ImportError, NotImplementedError, ValueError) as e:
        sys.exit(f'error: {e}')
    size = 'images of any size' if dynamic else 'images of one size'
    print(f'Compared with the student: {difference}')
    print(f'Written: {args.out}, for {size}')


if __name__ == '__main__':
    main()
