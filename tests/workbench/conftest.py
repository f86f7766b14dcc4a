from pathlib import Path

import pytest

from tests.helpers import ROOT

RECIPE = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'


@pytest.fixture
def recipe(glyphs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped recipe, whose data are a few images."""
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    return RECIPE
