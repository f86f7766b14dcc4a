"""Compare where checkpoints are expected with where MMEngine's hooks write them."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.logging import MessageHub
from mmengine.runner import find_latest_checkpoint

from pd_mmdet.workbench.stages.checkpoints import (
    check_checkpoints,
    checkpoint_of_the_end,
    expected_checkpoint,
)

STOP = dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP', patience=2)


def config(length: dict, checkpoint: dict | None, *hooks: dict) -> Config:
    default_hooks = dict(checkpoint=checkpoint)
    return Config(dict(train_cfg=length, default_hooks=default_hooks, custom_hooks=list(hooks)))


def last_written(hook: CheckpointHook, length: int, folder: Path) -> str:
    """Return what MMEngine notes as the last checkpoint of a training that calls the hook."""
    folder.mkdir(parents=True)
    counted = 'epoch' if hook.by_epoch else 'iter'
    runner = SimpleNamespace(
        epoch=0,
        iter=0,
        work_dir=str(folder),
        logger=Mock(),
        message_hub=MessageHub('test'),
        save_checkpoint=Mock(),
    )
    setattr(runner, f'max_{counted}s', length)
    hook.before_train(runner)
    for step in range(length):
        setattr(runner, counted, step)
        hook.after_train_iter(runner, 0)
        hook.after_train_epoch(runner)
    return find_latest_checkpoint(str(folder))


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize(
    'options',
    [
        dict(interval=1),
        dict(interval=-1),
        dict(interval=4, filename_tmpl='net-{}.pt'),
        dict(interval=20, save_begin=50),
        dict(interval=4, save_last=False),
        dict(interval=5, save_last=False, out_dir='elsewhere'),
        dict(interval=4, save_last=False, save_begin=3),
        dict(interval=4, save_last=False, save_begin=10),
        dict(interval=3, save_last=False, save_begin=8),
    ],
)
def test_the_last_is_where_mmengine_writes_it(by_epoch, options, tmp_path):
    if 'out_dir' in options:
        options = dict(options, out_dir=str(tmp_path / options['out_dir']))
    hook = dict(type=CheckpointHook, by_epoch=by_epoch, **options)
    cfg = config({'max_epochs' if by_epoch else 'max_iters': 10}, hook)
    check_checkpoints(cfg)
    folder = tmp_path / 'work' / 'teacher'
    written = last_written(CheckpointHook(by_epoch=by_epoch, **options), 10, folder)
    assert str(expected_checkpoint(cfg, folder)) == written


def test_by_mmengines_defaults():
    cfg = Config(dict(train_cfg=dict(max_epochs=3)))
    check_checkpoints(cfg)
    assert expected_checkpoint(cfg, Path('work')) == Path('work/epoch_3.pth')


def test_the_end_is_not_always_written():
    hook = dict(type='CheckpointHook', interval=4, save_last=False)
    cfg = config(dict(max_epochs=10), hook)
    assert expected_checkpoint(cfg, Path('work')) == Path('work/epoch_8.pth')
    assert checkpoint_of_the_end(cfg, Path('work')) == Path('work/epoch_10.pth')


@pytest.mark.parametrize(
    'length, checkpoint, said',
    [
        (dict(max_iters=9), dict(), r'^default_hooks.checkpoint.by_epoch must be False: .* iterat'),
        (dict(max_epochs=9), dict(by_epoch=False), 'by_epoch must be True: the training is by ep'),
        (dict(max_epochs=9), None, '^default_hooks.checkpoint is None: '),
        (
            dict(max_epochs=9),
            dict(save_last=False),
            'interval=-1, save_begin=0, save_last=False writes no checkpoint in 9 epochs: set',
        ),
        (dict(max_epochs=9), dict(save_last=False, interval=10), 'interval=10, .* 9 or less'),
        (
            dict(max_epochs=9),
            dict(save_last=False, interval=1, save_begin=10),
            'save_begin=10, save_last=False writes no checkpoint in 9 epochs',
        ),
        (dict(max_epochs=9), dict(filename_tmpl='last.pth'), "filename_tmpl='last.pth' must be"),
        (
            dict(max_epochs=9),
            dict(out_dir='s3://mine'),
            "out_dir='s3://mine' must be a local folder",
        ),
    ],
)
def test_a_training_without_a_last_checkpoint_is_refused(length, checkpoint, said):
    hook = None if checkpoint is None else dict(type='CheckpointHook', **checkpoint)
    with pytest.raises(ValueError, match=said):
        check_checkpoints(config(length, hook))


def test_two_hooks_that_write_are_refused():
    hook = dict(type='CheckpointHook')
    with pytest.raises(ValueError, match='default_hooks.checkpoint and custom_hooks.0 both write'):
        check_checkpoints(config(dict(max_epochs=9), hook, hook))
    cfg = config(dict(max_epochs=9), None, dict(hook, priority='LOW', filename_tmpl='{}.pth'))
    check_checkpoints(cfg)
    assert expected_checkpoint(cfg, Path('work')) == Path('work/9.pth')


def test_a_hook_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="custom_hooks.0.type='NoHook' is not registered"):
        check_checkpoints(
            config(dict(max_epochs=9), dict(type='CheckpointHook'), {'type': 'NoHook'})
        )


@pytest.mark.parametrize(
    'kind', ['EarlyStoppingHook', 'mmengine.EarlyStoppingHook', EarlyStoppingHook]
)
def test_a_checkpoint_comes_before_the_training_may_be_stopped(kind):
    # Validations after 2, 4 and 6 epochs; two that are no better than the first are waited for.
    stop, length = dict(STOP, type=kind), dict(max_epochs=20, val_interval=2)
    check_checkpoints(config(length, dict(type='CheckpointHook', interval=6), stop))
    with pytest.raises(ValueError) as error:
        check_checkpoints(config(length, dict(type='CheckpointHook', interval=7), stop))
    assert 'after 7 epochs, but custom_hooks.0 (EarlyStoppingHook) may stop' in str(error.value)
    assert 'after 6: set interval to 6 or less' in str(error.value)


def test_a_threshold_may_be_reached_at_once():
    length, hook = dict(max_epochs=20, val_begin=5, val_interval=2), dict(type='CheckpointHook')
    stop = dict(STOP, stopping_threshold=0.5)
    check_checkpoints(config(length, dict(hook, interval=6), stop))
    with pytest.raises(ValueError, match='after 20 epochs, but .* after 6:'):
        check_checkpoints(config(length, hook, stop))
