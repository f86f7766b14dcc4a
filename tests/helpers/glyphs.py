"""Make the built-in data set, small."""

from pathlib import Path

from pd_mmdet.testing.zoo.chain import run_python
from tests.helpers import ROOT

TOOL = ROOT / 'tools' / 'dataset_converters' / 'make_glyphs.py'


def make_glyphs(out: Path, size: int) -> Path:
    """Write 12 images to train on and 4 to validate on, of ``size`` squared pixels."""
    run_python([TOOL, '--out', out, '--train', 12, '--val', 4, '--size', size])
    return out
