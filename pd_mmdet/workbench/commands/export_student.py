"""Write a distilled student as a plain MMDetection or MMPretrain config and checkpoint.

Writes OUT_DIR/<name>.py and OUT_DIR/<name>.pth, named after CONFIG. The library's tools and
inferencers take them without this package. The pipelines are for files that are really small: a
Resize to the small scale, and no LowResolution. Averaged weights (EMA) are taken where the training
had them; what is for training only is left out.

An assistant reads large images. A detector's assistant (an AFPDetector),
and a student with sub-cells (a SubCellDetector), still need this package.
"""

import argparse
import sys
from pathlib import Path

from ..export import export_student


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config of the distiller: student.py')
    parser.add_argument('checkpoint', help='a checkpoint that its training wrote')
    parser.add_argument('out_dir', type=Path, help='folder of the two files; none is overwritten')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        config, checkpoint = export_student(args.config, args.checkpoint, args.out_dir)
    except (FileExistsError, FileNotFoundError, ImportError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'Written: {config} and {checkpoint}')


if __name__ == '__main__':
    main()
