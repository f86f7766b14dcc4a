import runpy
import sys

import pytest

from tests.helpers import ROOT
from tests.helpers.commands import run_here

TOOL = ROOT / 'tools' / 'make_recipe.py'
GLYPHS = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'
PAIR = [str(GLYPHS / 'ceiling.py'), str(GLYPHS / 'teacher.py')]


def test_what_it_says(tmp_path):
    out = tmp_path / 'mine'
    result = run_here(TOOL, *PAIR, '--ratio', '3', '--cells', '1', '--out', out)
    assert result.returncode == 0, result.stderr
    assert f'Written to {out}, and every model built: baseline.py, assistant.py' in result.stdout
    assert 'Left out:\n  one_stage: pkd: tap' in result.stdout
    assert result.stdout.endswith(f'Next:\n  python tools/train_tas.py {out} --baseline\n')
    assert (out / 'student.py').exists()


def test_says_what_it_chose(tmp_path):
    result = run_here(TOOL, *PAIR, '--ratio', '3', '--out', tmp_path / 'mine')
    assert result.returncode == 0, result.stderr
    assert 'reads the small image enlarged 3/2 times (--enlarge)' in result.stdout
    assert 'has 2×2 sub-cells in each cell (--cells)' in result.stdout


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--ratio', '2', '--out', str(GLYPHS)], 'error: .* is there and not empty'),
        (['--ratio', '1', '--out', 'out'], 'error: ratio must be'),
        (['--ratio', '2', '--out', 'out', '--teacher-ckpt', 'no.pth'], 'error: no checkpoint at'),
        (['--ratio', '2', '--out', 'out', '--teacher-ckpt', 'https://x'], 'error: .* download it'),
    ],
)
def test_bad_input(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *PAIR, *arguments])
    with pytest.raises(SystemExit, match=message):
        runpy.run_path(str(TOOL), run_name='__main__')
    assert list(tmp_path.iterdir()) == []


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), '--help'])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(
        word in text
        for word in ('--ratio K', '--teacher-ckpt FILE', '--one-stage', 'mmdet::', 'mmpretrain::')
    )
