import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'


@pytest.fixture(scope='session')
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few glyphs images."""
    out = tmp_path_factory.mktemp('data') / 'glyphs'
    tool = ROOT / 'tools' / 'dataset_converters' / 'make_glyphs.py'
    options = ['--train', '8', '--val', '4', '--size', '96']
    subprocess.run([sys.executable, tool, '--out', out, *options], check=True, capture_output=True)
    return out


@pytest.fixture
def recipe(glyphs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped recipe, whose data are a few images."""
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    return RECIPE
