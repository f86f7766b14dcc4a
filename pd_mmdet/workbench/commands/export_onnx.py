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
from ..onnx.int8 import int8_file, write_int8
from ..onnx.student import load_student
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
        '--images',
        type=int,
        default=8,
        metavar='N',
        help='validation images to compare on, beside parts of them of odd sizes (default: 8)',
    )
    parser.add_argument(
        '--opset', type=int, default=OLDEST_OPSET, help=f'(default: {OLDEST_OPSET})'
    )
    parser.add_argument(
        '--int8', action='store_true', help='also write OUT.int8.onnx, with layers of eight bits'
    )
    parser.add_argument(
        '--calibration-images',
        type=int,
        default=128,
        metavar='N',
        help='training images that show --int8 how large activations become (default: 128)',
    )
    parser.add_argument(
        '--max-drop',
        type=float,
        default=1.0,
        metavar='POINTS',
        help='largest loss of AP (top-1 of classifiers) by --int8 (default: 1)',
    )
    args = parser.parse_args()
    if min(args.images, args.calibration_images) < 1:
        parser.error('--images and --calibration-images: must be at least 1')
    return args


def main() -> None:
    args = parse_args()
    plain_data_only()
    try:
        write(args)
    except (FileExistsError, FileNotFoundError, ImportError, NotImplementedError, ValueError) as e:
        sys.exit(f'error: {e}')


def write(args: argparse.Namespace) -> None:
    """Write the file or the two files."""
    check_options(args.out, args.opset)
    small = int8_file(args.out)
    if args.int8 and small.exists():
        raise FileExistsError(f'{small} exists already: name another file, or remove it')
    student = load_student(args.config, args.checkpoint)
    difference, dynamic = write_onnx(
        student, args.out, args.opset, args.fixed_size, args.grey, args.images
    )
    print(f'Compared with the student: {difference}')
    size = 'images of any size' if dynamic else 'images of the size of the first one'
    print(f'Written: {args.out}, for {size}', flush=True)
    if args.int8:
        quantized = write_int8(student, args.out, args.calibration_images, args.max_drop)
        print(f'Eight bits: {quantized}; in float: {", ".join(quantized.in_float) or "no layer"}')
        print(f'Written: {small}')


if __name__ == '__main__':
    main()
