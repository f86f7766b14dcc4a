import csv
import json
import sys
from subprocess import CompletedProcess
from unittest.mock import Mock

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from pd_mmdet.distillers.teacher import plain_model_cfg
from pd_mmdet.workbench.commands import cost_report
from pd_mmdet.workbench.costs import cost_report as report
from pd_mmdet.workbench.stages.evaluate import costs
from tests.helpers import ROOT
from tests.helpers.commands import run_here

RECIPE = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'
FEW = ['--rounds', '2', '--batch-sizes', '2', '--images', '2', '--jpeg', '80']


@pytest.fixture(autouse=True)
def data(glyphs, monkeypatch):
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


def run(*arguments: object) -> CompletedProcess:
    return run_here(ROOT / 'tools' / 'cost_report.py', *arguments)


def test_large_and_small_side_by_side(tmp_path):
    """A distiller's config and checkpoint stand for the student that is deployed."""
    torch.manual_seed(0)
    student = Config.fromfile(RECIPE / 'student.py')
    model = MODELS.build(plain_model_cfg(student.model))
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'student.pth')
    out = tmp_path / 'costs'
    networks = [
        f'large={RECIPE / "ceiling.py"}',
        f'small={RECIPE / "student.py"}:{tmp_path / "student.pth"}',
    ]
    result = run(*networks, '--out', out, *FEW)
    assert result.returncode == 0, result.stderr
    large, small = json.loads((out / 'costs.json').read_text())['rows']
    assert (large['view'], small['view']) == ('hr', 'lr')
    assert large['image_side'] == [160, 160] and small['image_side'] == [80, 80]
    assert small['flops'] == costs(student)['flops'] < large['flops'] / 3
    assert 0 < small['png'] < large['png'] and 0 < small['jpeg80'] < large['jpeg80']
    for row in (large, small):
        assert row['latency_ms'] > 0 and row['images_per_second_2'] > 0 and row['memory_mb'] >= 0
    assert 'bbox_mAP' not in large and 0 <= small['bbox_mAP'] <= 1
    with (out / 'costs.csv').open() as file:
        assert [row['name'] for row in csv.DictReader(file)] == ['large', 'small']
    assert '| small' in (out / 'costs.md').read_text() and '80×80' in result.stdout
    assert (out / 'costs.png').stat().st_size > 0


def test_costs_stand_where_the_picture_cannot_be_drawn(tmp_path, monkeypatch, capsys):
    row = dict(name='a', view='lr', parameters=1, flops=1, image_side=[8, 8], latency_ms=1.0)
    row |= dict(memory_mb=None, png=1.0)
    out = tmp_path / 'costs'
    arguments = ['tools/cost_report.py', f'a={RECIPE / "student.py"}', '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', arguments)
    monkeypatch.setattr(report, 'rows_of', lambda *_: [row])
    monkeypatch.setattr(report, 'cost_figure', Mock(side_effect=RuntimeError('no font')))
    cost_report.main()
    said = capsys.readouterr()
    assert 'costs.png could not be drawn (RuntimeError: no font)' in said.err
    assert '| a' in said.out
    assert said.out.endswith(f'\nWritten to {out}: costs.md, costs.csv, costs.json\n')
    assert json.loads((out / 'costs.json').read_text())['rows'] == [row]


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['student.py'], 'write NAME=CONFIG or NAME=CONFIG:CHECKPOINT'),
        (['a=nowhere.py'], 'no config file at'),
        ([f'a={RECIPE}/student.py:no.pth'], 'a: no checkpoint at'),
        ([f'a={RECIPE}/student.py', f'a={RECIPE}/teacher.py'], 'two networks have one name'),
        (['a=b', '--jpeg', '101'], 'qualities are from 1 to 100'),
        (['a=b', '--rounds', '0'], 'must be at least 1'),
    ],
)
def test_bad_input(tmp_path, arguments, message):
    result = run(*arguments, '--out', tmp_path / 'costs')
    assert result.returncode and message in result.stderr
    assert not (tmp_path / 'costs').exists()


def test_results_are_not_overwritten(tmp_path):
    result = run(f'a={RECIPE}/student.py', '--out', tmp_path)
    assert result.returncode and 'is there already' in result.stderr
