"""The overhead of a distiller, of few repetitions."""

import json

import pytest

from tests.helpers import ROOT
from tests.helpers.commands import run_here


def test_prints_and_writes_ratios_of_one_run(glyphs, tmp_path, monkeypatch):
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    file = tmp_path / 'times.json'
    ended = run_here(ROOT / 'benchmarks/step_time.py', '--steps', 1, '--out', file)
    assert ended.returncode == 0, ended.stderr
    numbers = json.loads(file.read_text())['numbers']
    assert numbers['overhead'] == pytest.approx(numbers['c'] / (numbers['a'] + numbers['b']))
    assert f'overhead c/(a+b) = {numbers["overhead"]:.2f}' in ended.stdout
    assert f'channels_last d/c = {numbers["d"] / numbers["c"]:.2f}' in ended.stdout
    assert f'teacher in bfloat16 e/d = {numbers["e"] / numbers["d"]:.2f}' in ended.stdout
