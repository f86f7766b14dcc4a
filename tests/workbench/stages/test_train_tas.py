import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import Config

from pd_mmdet.workbench.commands import train_tas
from pd_mmdet.workbench.stages.evaluate import build_model
from pd_mmdet.workbench.stages.stage import plan
from tests.helpers import ROOT
from tests.helpers.commands import run_here
from tests.helpers.processes import NEEDS_PROC, children, running, wait_for

TOOL = ROOT / 'tools' / 'train_tas.py'
OPTIONS = [
    '--cfg-options',
    'train_cfg.max_iters=2',
    'randomness.seed=3',
    'train_dataloader.batch_size=2',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val')),
    *(f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val')),
]


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(TOOL), *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess:
    return run_here(TOOL, *arguments)


def interrupt_first_stage(recipe: Path, work_dir: Path) -> None:
    """Kill a run as soon as it trains, and see that the training ends too."""
    process = subprocess.Popen(
        command(recipe, '--work-dir', work_dir, *OPTIONS),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background inherit that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_for(lambda: (work_dir / 'teacher').exists() and children(process.pid))
        training = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert 'The same command goes on from here' in process.communicate(timeout=600)[1]
    finally:
        process.terminate()
    assert process.returncode == 130
    wait_for(lambda: not any(running(pid) for pid in training))


@NEEDS_PROC
def test_interrupted_and_resumed(recipe, tmp_path):
    interrupt_first_stage(recipe, tmp_path)
    assert not (tmp_path / 'results.json').exists()

    arguments = [recipe, '--work-dir', tmp_path, *OPTIONS]
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    teacher = tmp_path / 'teacher' / 'iter_2.pth'
    assert f'[2/3] assistant: 2 iterations, learns from {teacher}' in result.stdout

    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['recipe'] == recipe.name and results['ratio'] == 2
    rows = {row['name']: row for row in results['rows']}
    assert [(name, row['view']) for name, row in rows.items()] == [
        *(('teacher', 'hr'), ('assistant', 'hr'), ('student', 'lr'))
    ]
    for name, row in rows.items():
        assert row['iterations'] == 2 and row['seed'] == 3
        assert row['checkpoint'] == os.path.join(name, 'iter_2.pth')
    # One network, two sizes of image; the rescaled assistant has the student's head to compute.
    assert rows['student']['parameters'] == rows['assistant']['parameters']
    assert rows['assistant']['image_side'] == [2 * side for side in rows['student']['image_side']]
    assert rows['student']['flops'] < rows['assistant']['flops'] < 4 * rows['student']['flops']
    table = (tmp_path / 'results.md').read_text()
    assert all(f'| {name}' in table and name in result.stdout for name in rows)
    assert (tmp_path / 'comparison.png').stat().st_size > 0

    # Nothing is trained or evaluated again.
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count('finished before') == 3 and 'Iter(' not in again.stdout
    assert json.loads((tmp_path / 'results.json').read_text()) == results


def test_results_stand_where_the_picture_cannot_be_drawn(recipe, tmp_path):
    """A folder has the name of the picture's file."""
    options = {'val_dataloader.num_workers': 0, 'val_dataloader.persistent_workers': False}
    for stage in plan(recipe, tmp_path, cfg_options=options):
        stage.make_folder()
        state = build_model(stage.cfg).state_dict()
        torch.save(dict(meta=dict(seed=3), state_dict=state), stage.checkpoint)
        (stage.folder / 'last_checkpoint').write_text(str(stage.checkpoint))
    picture = tmp_path / 'comparison.png'
    picture.mkdir()
    pairs = [f'{key}={value}' for key, value in options.items()]
    result = run(recipe, '--work-dir', tmp_path, '--cfg-options', *pairs)
    assert result.returncode == 0, result.stderr
    assert f'warning: {picture} could not be drawn (IsADirectoryError: ' in result.stderr
    assert result.stdout.endswith(f'\nWritten to {tmp_path}: results.md, results.json\n')
    rows = json.loads((tmp_path / 'results.json').read_text())['rows']
    assert [row['name'] for row in rows] == ['teacher', 'assistant', 'student']
    table = result.stdout.rpartition('ratio 2')[2]
    assert all(f'| {row["name"]}' in table for row in rows)


ENDS = dict(
    # Stopped after 2 of 4 iterations, at the first validation.
    teacher="""
model.update(test_cfg=dict(score_thr=0.0))
train_cfg = dict(max_iters=4, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1, filename_tmpl='net-{}.pt'))
stop = dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP', stopping_threshold=-2.0)
custom_hooks = [*_base_.custom_hooks, stop]
""",
    # Its last checkpoint is that of iteration 3 of 4, and elsewhere.
    assistant="""
train_cfg = dict(max_iters=4)
default_hooks = dict(checkpoint=dict(interval=3, save_last=False, out_dir='{big}'))
""",
    # By epochs, with the runner's own hooks.
    student="""
default_hooks = None
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=1)
train_dataloader.update(sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
""",
)


def test_trainings_that_end_in_other_ways(recipe, tmp_path):
    copy = shutil.copytree(recipe, tmp_path / 'a' / 'b' / 'recipe')
    shutil.copytree(recipe.parents[1] / '_base_', tmp_path / 'a' / '_base_')
    big, work = tmp_path / 'big', tmp_path / 'work'
    for name, text in ENDS.items():
        with (copy / f'{name}.py').open('a') as file:
            file.write(text.replace('{big}', str(big)))
    options = [option for option in OPTIONS if 'max_iters' not in option]
    first, again = (run(copy, '--work-dir', work, *options) for _ in range(2))
    assert first.returncode == 0 and 'finished before' not in first.stdout, first.stderr
    assert again.stdout.count('finished before') == 3 and 'Epoch(' not in again.stdout

    ends = dict(
        teacher=work / 'teacher' / 'net-2.pt',
        assistant=big / 'assistant' / 'iter_3.pth',
        student=work / 'student' / 'epoch_1.pth',
    )
    assert f'assistant: 4 iterations, learns from {ends["teacher"]}\n' in first.stdout
    assistant, student = (Config.fromfile(work / f'{name}.py') for name in ('assistant', 'student'))
    assert assistant.model.teacher.checkpoint == str(ends['teacher'])
    assert student.model.teacher.checkpoint == student.load_from == str(ends['assistant'])
    rows = json.loads((work / 'results.json').read_text())['rows']
    assert [(row['iterations'], row['epochs']) for row in rows] == [(2, None), (3, None), (6, 1)]
    assert [(work / row['checkpoint']).resolve() for row in rows] == [*ends.values()]


def test_a_failing_stage_stops_with_its_code(monkeypatch, capsys):
    stage = Mock(finished=False, train=Mock(side_effect=subprocess.CalledProcessError(3, 'train')))
    stage.name = 'teacher'
    later = Mock()
    monkeypatch.setattr(sys, 'argv', ['tools/train_tas.py', 'a recipe', '--baseline'])
    with pytest.raises(SystemExit) as stopped:
        train_tas.train([stage, later])
    assert stopped.value.code == 3 and not later.train.called
    said = capsys.readouterr().err
    assert 'teacher failed (exit code 3)' in said
    assert said.endswith("tools/train_tas.py 'a recipe' --baseline\n")


def test_bad_input_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    recipe, work_dir = tmp_path / 'recipe', tmp_path / 'work'
    recipe.mkdir()
    (recipe / 'teacher.py').touch()
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(recipe), '--work-dir', str(work_dir)])
    with pytest.raises(SystemExit, match='error: the recipe .* has no assistant.py, student.py'):
        train_tas.main()
    assert not work_dir.exists()
