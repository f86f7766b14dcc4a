"""A recipe's stages in several processes, and with the options that many GPUs ask for.

That two processes train what one does, `tests/distillers/test_distributed.py` sees.
"""

import signal
import sys
import time

import pytest
import torch
from mmengine.config import Config

from pd_mmdet.workbench.commands import train_tas
from pd_mmdet.workbench.stages.stage import Stage, plan

# Ends what it "started" when it is told to end, as launchers do.
LAUNCHER = """
import signal, sys, time
from pathlib import Path

folder = Path(sys.argv[sys.argv.index('--work-dir') + 1])

def end(*_):
    (folder / 'ended').touch()
    sys.exit()

signal.signal(signal.SIGTERM, end)
(folder / 'started').touch()
time.sleep(600)
"""


def call_main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> dict:
    """Return what `main` asks of `plan`, which is the last thing it does here."""
    asked = {}

    def keep(recipe, work_dir, extras, teacher_checkpoint, cfg_options):
        asked.update(cfg_options)
        raise ValueError('planned')

    monkeypatch.setattr(train_tas, 'plan', keep)
    monkeypatch.setattr(sys, 'argv', ['train_tas.py', *map(str, arguments)])
    with pytest.raises(SystemExit, match='planned'):
        train_tas.main()
    return asked


@pytest.mark.parametrize('gpus', [0, 3])
def test_more_gpus_than_there_are(monkeypatch, capsys, gpus):
    monkeypatch.setattr(torch.accelerator, 'device_count', lambda: 2)
    monkeypatch.setattr(sys, 'argv', ['train_tas.py', 'recipe', '--gpus', str(gpus)])
    with pytest.raises(SystemExit):
        train_tas.main()
    assert f'--gpus {gpus}: must be 1 to 2 on this machine' in capsys.readouterr().err


def test_each_stage_that_is_not_finished_gets_the_gpus(monkeypatch, tmp_path):
    stage = Stage('teacher', Config(dict(train_cfg=dict(max_epochs=3))), tmp_path / 'teacher')
    commands = []

    def run(command):
        commands.append(command)
        (stage.folder / 'last_checkpoint').write_text(str(stage.checkpoint))
        stage.checkpoint.touch()

    monkeypatch.setattr('pd_mmdet.workbench.stages.stage._run', run)
    train_tas.train([stage], 8)
    train_tas.train([stage], 8)
    ((python, *launcher, config, folder, place, option, kind),) = commands
    assert python == sys.executable
    assert launcher == [
        *('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=8'),
        *('-m', 'pd_mmdet.workbench.commands.train'),
    ]
    assert (config, folder, place) == (str(stage.config), '--work-dir', str(stage.folder))
    assert (option, kind) == ('--launcher', 'pytorch')


def test_options_are_those_of_every_stage(monkeypatch, recipe, tmp_path):
    base = 'auto_scale_lr.base_batch_size=16'
    with monkeypatch.context() as patch:
        options = call_main(patch, recipe, '--amp', '--auto-scale-lr', '--cfg-options', base)
    for stage in plan(recipe, tmp_path, ['baseline'], cfg_options=options):
        assert stage.cfg.optim_wrapper.type == 'AmpOptimWrapper'
        assert stage.cfg.optim_wrapper.loss_scale == 'dynamic'
        assert stage.cfg.optim_wrapper.optimizer.lr > 0
        assert stage.cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)


def test_a_stage_keeps_the_options_that_it_was_begun_with(recipe, tmp_path):
    plan(recipe, tmp_path)[0].make_folder()
    with pytest.raises(ValueError, match="optim_wrapper.type is 'OptimWrapper' there"):
        plan(recipe, tmp_path, cfg_options={'optim_wrapper.type': 'AmpOptimWrapper'})


def test_the_rate_is_scaled_from_a_batch_size(recipe, tmp_path):
    with pytest.raises(
        ValueError, match=r'--auto-scale-lr: teacher.py .*dict\(base_batch_size=…\)'
    ):
        plan(recipe, tmp_path, cfg_options={'auto_scale_lr.enable': True})


def test_an_interruption_lets_a_launcher_end_its_processes(tmp_path, monkeypatch):
    stage = Stage('teacher', Config(dict(train_cfg=dict(max_epochs=3))), tmp_path / 'teacher')
    tool = tmp_path / 'launcher.py'
    tool.write_text(LAUNCHER)
    monkeypatch.setattr('pd_mmdet.workbench.stages.stage.TRAIN', [tool])

    def interrupt(*_):
        while not (stage.folder / 'started').exists():
            time.sleep(0.05)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            stage.train()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (stage.folder / 'ended').exists()
