"""Make the built-in data set, small."""

import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT


def make_glyphs(out: Path, size: int) -> Path:
    """Write 12 images to train on and 4 to validate on, of ``size`` squared pixels."""
    tool = ROOT / 'tools' / 'dataset_converters' / 'make_glyphs.py'
    options = ['--train', '12', '--val', '4', '--size', str(size)]
    subprocess.run([sys.executable, tool, '--out', out, *options], check=True, capture_output=True)
    return out
