"""A suite from its declaration to its table, on a few images."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pd_mmdet.workbench.suites.suite import read_suite
from pd_mmdet.workbench.suites.tables import part_table
from tests.helpers import ROOT
from tests.helpers.commands import run_here
from tests.helpers.processes import NEEDS_PROC, of_folder, wait_for

METRICS = ['bbox_mAP', 'bbox_mAP_50', 'parameters', 'flops', 'image_side', 'seed']
OPTIONS = [
    '--cfg-options',
    'train_cfg.max_iters=2',
    'train_dataloader.batch_size=2',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val')),
    *(f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val')),
]


@pytest.fixture
def suite(glyphs, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    file = tmp_path / 'few.py'
    file.write_text(f"""
_base_ = '{ROOT}/benchmarks/suites/_base_/rows.py'
title = 'A few glyphs'
seeds = [1, 2]
recipe = '{ROOT}/configs/retinanet/retinanet_r34-r18_glyphs_k2'
parts = [dict(title='few', recipe=recipe, rows=['teacher', 'msad', 'again'])]
rows = dict(again=dict(config='teacher', text='T, again', weights_of='teacher'))
""")
    return file


def run(*arguments: object) -> CompletedProcess:
    return run_here(ROOT / 'benchmarks' / 'run.py', *arguments)


def test_runs_are_kept_and_not_repeated(suite, tmp_path):
    results = tmp_path / 'kept' / 'suite_few_cpu.json'
    arguments = [suite, '--work-dir', tmp_path / 'work', '--results', results, '--seeds', 1]
    arguments += OPTIONS
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    assert '[2/3, about ' in first.stdout and 'left in all]' in first.stdout
    runs = json.loads(results.read_text())['runs']
    assert [one['row'] for one in runs] == ['teacher', 'msad', 'again']
    teacher, msad, again = runs
    assert again['iterations'] == 0 and again['seconds'] is again['coverage'] is None
    assert [again[key] for key in METRICS] == [teacher[key] for key in METRICS]
    for one in (teacher, msad):
        assert one['recipe'] == 'retinanet_r34-r18_glyphs_k2' and one['seed'] == 1
        assert one['iterations'] == 2 and one['seconds'] > 0 and 0 < one['coverage'] <= 1
        assert {*one['environment']} == {'torch', 'mmdet', 'device', 'date'}
    assert 0 < msad['jpeg90'] < teacher['jpeg90']
    folder = tmp_path / 'work' / runs[0]['recipe'] / 'seed1'
    assert not list((folder / 'again').glob('*.pth'))
    for one in (teacher, msad):
        assert (folder / f'{one["row"]}.py').is_file()
        assert list((folder / one['row']).glob('*/*.log'))
    again = run(*arguments)
    assert again.returncode == 0 and again.stdout.count('finished before') == 2
    assert 'Iter(' not in again.stdout and json.loads(results.read_text())['runs'] == runs
    declared = read_suite(suite)
    assert '| not run |' not in part_table(declared, declared.parts[0], runs)


def test_runs_side_by_side_are_those_one_after_the_other(suite, tmp_path):
    suite.write_text(
        suite.read_text()
        .replace("'again']", "'again', 'broken', 'learns']")
        .replace(
            'rows = dict(',
            'rows = dict(\n'
            "    broken=dict(config='teacher', text='T', "
            "options={'optim_wrapper.optimizer.lr': -1.0}),\n"
            "    learns=dict(config='assistant', text='A', learns_from='broken'),\n    ",
        )
    )
    made = {}
    for jobs, rows in ((1, ['msad', 'again']), (3, [])):
        results = tmp_path / f'{jobs}.json'
        arguments = ['--work-dir', tmp_path / f'work{jobs}', '--results', results, '--jobs', jobs]
        result = run(suite, *arguments, *(['--rows', *rows] if rows else []), *OPTIONS)
        assert bool(result.returncode) == (jobs == 3), result.stderr
        runs = json.loads(results.read_text())['runs']
        made[jobs] = {(one['row'], one['seed']): one['bbox_mAP'] for one in runs}
    assert made[3] == made[1] and len(made[1]) == 5  # all seeds share one teacher
    assert 'Iter(' not in result.stdout and result.stdout.count('[5/9] finished') == 1
    assert '4 of 9 runs failed' in result.stderr and result.stderr.count('it needs broken') == 2
    output = tmp_path / 'work3' / 'retinanet_r34-r18_glyphs_k2' / 'seed1' / 'broken.txt'
    assert str(output) in result.stderr and 'Invalid learning rate' in output.read_text()


@NEEDS_PROC
def test_a_signal_ends_runs_side_by_side(suite, tmp_path):
    options = [option.replace('max_iters=2', 'max_iters=1000') for option in OPTIONS]
    arguments = ['--work-dir', tmp_path / 'work', '--jobs', 2, '--rows', 'teacher', *options]
    process = subprocess.Popen(
        [sys.executable, *map(str, [ROOT / 'benchmarks' / 'run.py', suite, *arguments])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    output = tmp_path / 'work' / 'retinanet_r34-r18_glyphs_k2' / 'seed1' / 'teacher.txt'
    try:
        wait_for(lambda: output.exists() and 'Checkpoints will be saved' in output.read_text())
        for _ in range(2):  # as `timeout` does, which signals the program and its group
            process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
    wait_for(lambda: not of_folder(tmp_path / 'work'), seconds=60)


def test_list_trains_nothing(suite, tmp_path):
    result = run(suite, '--work-dir', tmp_path / 'work', '--rows', 'msad', '--list')
    assert result.returncode == 0, result.stderr
    assert 'env variable' not in result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if ', seed ' in line]
    assert [line.split(': ')[0].split(', ', 1)[1] for line in lines] == [
        *('seed 1, teacher', 'seed 1, msad', 'seed 2, msad')
    ]
    assert not (tmp_path / 'work').exists()


def test_results_of_another_suite_are_not_overwritten(suite, tmp_path):
    results = tmp_path / 'results.json'
    results.write_text('{"suite": "other", "runs": []}')
    result = run(suite, '--work-dir', tmp_path / 'work', '--results', results, *OPTIONS)
    assert result.returncode and "holds results of 'other', not of 'few'" in result.stderr
    assert not (tmp_path / 'work').exists()


def test_bad_input_is_said(tmp_path):
    result = run('nothing')
    assert result.returncode and "no suite 'nothing'" in result.stderr and 'bccd' in result.stderr
