"""Report what networks cost to run, beside how good they are: a table, CSV, JSON and a picture.

    %(prog)s --out costs \\
        teacher=work_dirs/my_recipe/teacher.py:work_dirs/my_recipe/teacher/epoch_12.pth \\
        student=my_recipe/student.py:work_dirs/my_recipe/student/epoch_12.pth \\
        onnx=my_recipe/student.py:student.onnx

For every network, as it is deployed: parameters, FLOPs, median latency on the device at hand, on a
CPU also on one thread, throughput by batch size, size, peak memory, and the bytes of its validation
images as PNG and JPEG. With a checkpoint also its score on the validation set; the picture shows it
against each cost, with the Pareto front: networks for which no other one is both better and
cheaper.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ...checkpoint import plain_data_only
from ...visualization import save_picture
from ..costs import cost_report as report
from ..costs.cost_report import Entry, Options
from ..load_config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'networks',
        nargs='+',
        metavar='NAME=CONFIG[:CHECKPOINT]',
        help='a network to compare; CHECKPOINT may be its ONNX file',
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='new folder of costs.md, .csv, .json and .png'
    )
    parser.add_argument(
        '--batch-sizes', type=int, nargs='+', default=[1, 4, 16], help='(default: 1 4 16)'
    )
    parser.add_argument(
        '--rounds', type=int, default=20, help='how often each latency is measured (default: 20)'
    )
    parser.add_argument(
        '--jpeg', type=int, nargs='+', default=[90, 50], help='qualities (default: 90 50)'
    )
    parser.add_argument(
        '--images', type=int, default=32, help='validation images to encode at most (default: 32)'
    )
    default = 'cuda' if torch.cuda.is_available() else 'cpu'
    parser.add_argument('--device', choices=['cpu', 'cuda'], default=default)
    args = parser.parse_args()
    if any(not 1 <= quality <= 100 for quality in args.jpeg):
        parser.error(f'--jpeg {args.jpeg}: qualities are from 1 to 100')
    if min(*args.batch_sizes, args.rounds, args.images) < 1:
        parser.error('--batch-sizes, --rounds and --images: must be at least 1')
    if args.out.exists():
        parser.error(f'--out {args.out} is there already: name a new folder')
    return args


def read_entry(text: str) -> Entry:
    """Read ``NAME=CONFIG[:CHECKPOINT]``.

    Raises:
        FileNotFoundError: A file, or the config's data, is missing.
        ValueError: The text is written otherwise.
    """
    name, equals, files = text.partition('=')
    config, _, checkpoint = files.partition(':')
    if not (name and equals and config):
        raise ValueError(f'{text!r}: write NAME=CONFIG or NAME=CONFIG:CHECKPOINT')
    if checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'{name}: no checkpoint at {Path(checkpoint).absolute()}')
    return Entry(
        name, load_config(Path(config), splits=['val']), Path(checkpoint) if checkpoint else None
    )


def main() -> None:
    args = parse_args()
    try:
        entries = [read_entry(text) for text in args.networks]
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    if args.device != 'cpu' and any(entry.is_onnx for entry in entries):
        sys.exit('error: ONNX files are timed on the CPU: add --device cpu')
    names = [entry.name for entry in entries]
    if len({*names}) < len(names):
        sys.exit(f'error: two networks have one name: {", ".join(names)}')
    plain_data_only()
    options = Options(args.batch_sizes, args.rounds, args.jpeg, args.images, args.device)
    args.out.mkdir(parents=True)
    rows = report.rows_of(entries, options, args.out)
    print(f'\n{report.write(rows, entries, options, args.out)}\n', flush=True)
    drawn = save_picture(lambda: report.figure(rows), args.out / 'costs.png')
    files = ['costs.md', 'costs.csv', 'costs.json', *['costs.png'] * drawn]
    print(f'Written to {args.out}: {", ".join(files)}')


if __name__ == '__main__':
    main()
