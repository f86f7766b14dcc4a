from pathlib import Path

import pytest

from tests.helpers import ROOT


@pytest.fixture
def suite_file(glyphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of the shipped glyphs recipe and rows, on a few images."""
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    file = tmp_path / 'few.py'
    file.write_text(f"""
_base_ = '{ROOT}/benchmarks/suites/_base_/rows.py'
title = 'A few glyphs'
seeds = [1, 2]
options = {{'train_cfg.max_iters': 40}}
recipe = '{ROOT}/configs/retinanet/retinanet_r34-r18_glyphs_k2'
parts = [
    dict(title='TAS', recipe=recipe, rows=['teacher', 'assistant', 'baseline_long', 'ours']),
    dict(title='one stage', recipe=recipe, rows=['pkd', 'ours', 'no_weights']),
]
""")
    return file
