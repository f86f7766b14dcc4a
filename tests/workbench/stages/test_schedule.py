from itertools import takewhile
from types import SimpleNamespace
from unittest.mock import Mock

import mmdet
import pytest
from mmdet.engine import PipelineSwitchHook
from mmdet.registry import HOOKS as DETECTION_HOOKS
from mmdet.testing._fast_stop_training_hook import FastStopTrainingHook
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.optim import CosineAnnealingLR
from mmengine.registry import HOOKS

from pd_mmdet.workbench.stages.schedule import stretch_schedule, training_length
from pd_mmdet.workbench.stages.times import TIMES, check_known

ZOO = f'{mmdet.__path__[0]}/.mim/configs'
WARM_UP = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)


def config(*schedulers: dict, **train_cfg: int) -> Config:
    return Config(dict(train_cfg=train_cfg, param_scheduler=list(schedulers)))


def test_mmdetections_1x():
    cfg = Config.fromfile(f'{ZOO}/_base_/schedules/schedule_1x.py')
    stretched = stretch_schedule(cfg, 3)
    assert training_length(stretched) == (36, 'epochs')
    assert stretched.train_cfg.val_interval == 1
    warm_up, steps = stretched.param_scheduler
    assert warm_up == cfg.param_scheduler[0] and warm_up.end == 500
    assert (steps.begin, steps.end, steps.milestones) == (0, 36, [24, 33])
    assert training_length(cfg) == (12, 'epochs')  # the config itself is left alone


def test_cosine_of_iterations_begins_after_the_same_warm_up():
    cosine = dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=4000, T_max=3900)
    stretched = stretch_schedule(config(WARM_UP, cosine, max_iters=4000, val_interval=500), 2.5)
    assert training_length(stretched) == (10000, 'iterations')
    assert stretched.param_scheduler == [WARM_UP, dict(cosine, begin=100, end=10000, T_max=9900)]


def test_parts_of_a_schedule_keep_their_shares():
    flat = dict(type='ConstantLR', factor=1.0, by_epoch=True, begin=0, end=20)
    cosine = dict(type='CosineAnnealingLR', by_epoch=True, begin=20, end=40, T_max=20)
    stretched = stretch_schedule(config(WARM_UP, flat, cosine, max_epochs=40), 2)
    assert stretched.param_scheduler == [
        WARM_UP,
        dict(flat, end=40),
        dict(cosine, begin=40, end=80, T_max=40),
    ]


def test_a_linear_decay_is_no_warm_up():
    decay = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, by_epoch=False, end=4000)
    stretched = stretch_schedule(config(decay, max_iters=4000), 2)
    assert stretched.param_scheduler == [dict(decay, end=8000)]


def test_a_single_scheduler_need_not_be_in_a_list():
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=10),
            param_scheduler=dict(type='MultiStepLR', milestones=[8], by_epoch=True),
        )
    )
    assert stretch_schedule(cfg, 2).param_scheduler.milestones == [16]


def test_no_schedulers():
    assert training_length(stretch_schedule(config(max_iters=10), 3)) == (30, 'iterations')


def test_unknown_scheduler_is_refused():
    with pytest.raises(ValueError, match='ExponentialLR'):
        stretch_schedule(config(dict(type='ExponentialLR', gamma=0.9), max_epochs=2), 2)


def test_a_loop_without_length_is_refused():
    with pytest.raises(ValueError, match='neither max_iters nor max_epochs'):
        training_length(config(val_interval=1))


def with_hooks(*hooks: dict, max_epochs: int = 4, **options) -> Config:
    return Config(dict(train_cfg=dict(max_epochs=max_epochs), custom_hooks=list(hooks), **options))


def epochs_until(cfg: Config, index: int, switched) -> int:
    """Count the epochs before a hook of MMDetection's or MMPretrain's has switched."""
    said = cfg.custom_hooks[index]
    hook = HOOKS.build({key: said[key] for key in said if key != 'priority'})
    epochs = range(cfg.train_cfg.max_epochs)

    def before(epoch: int) -> bool:
        runner = Mock(epoch=epoch, iter=epoch, max_epochs=cfg.train_cfg.max_epochs)
        hook.before_train_epoch(runner)
        return not switched(hook, runner)

    return len(list(takewhile(before, epochs)))


def has_switched(hook, _) -> bool:
    return hook._has_switched


def hook_of(cfg: Config, kind: str) -> int:
    return [hook['type'] for hook in cfg.custom_hooks].index(kind)


def test_rtmdet_trains_the_same_share_with_weak_augmentation():
    cfg = Config.fromfile(f'{ZOO}/rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    index = hook_of(cfg, 'PipelineSwitchHook')
    cfg.custom_hooks[index].switch_pipeline = []  # what it is does not matter here
    stretched = stretch_schedule(cfg, 3)
    assert stretched.train_cfg.max_epochs == 900
    assert stretched.custom_hooks[index].switch_epoch == 840
    assert epochs_until(cfg, index, has_switched) == 280  # of 300
    assert epochs_until(stretched, index, has_switched) == 840  # of 900
    assert cfg.train_cfg.dynamic_intervals == [(280, 1)]
    assert stretched.train_cfg.dynamic_intervals == [(840, 1)]
    assert stretched.train_cfg.val_interval == cfg.train_cfg.val_interval == 10
    warm_up, cosine = stretched.param_scheduler
    assert warm_up == cfg.param_scheduler[0] and warm_up.end == 1000
    assert (cosine.begin, cosine.end, cosine.T_max) == (450, 900, 450)


def test_yolox_trains_the_same_share_without_mosaic():
    cfg = Config.fromfile(f'{ZOO}/yolox/yolox_s_8xb8-300e_coco.py')
    stretched = stretch_schedule(cfg, 2)
    index = hook_of(cfg, 'YOLOXModeSwitchHook')
    # MMDetection switches an epoch before the last 15: 16 of 300, and 32 of 600.
    assert cfg.custom_hooks[index].num_last_epochs == 15
    assert stretched.custom_hooks[index].num_last_epochs == 31
    assert epochs_until(cfg, index, has_switched) == 300 - 16
    assert epochs_until(stretched, index, has_switched) == 600 - 32
    warm_up, cosine, flat = stretched.param_scheduler
    assert warm_up == cfg.param_scheduler[0] and (warm_up.begin, warm_up.end) == (0, 5)
    assert (cosine.begin, cosine.end, cosine.T_max) == (5, 570, 570)
    assert (flat.begin, flat.end) == (570, 600)


def test_yolox_by_its_defaults():
    hook = dict(type='mmdet.YOLOXModeSwitchHook')
    stretched = stretch_schedule(with_hooks(hook, max_epochs=300), 2)
    assert stretched.custom_hooks == [dict(hook, num_last_epochs=31)]
    assert 'num_last_epochs' not in hook


def test_tood_changes_its_assigner_at_the_same_share():
    cfg = Config.fromfile(f'{ZOO}/tood/tood_r50_fpn_1x_coco.py')
    assert cfg.model.train_cfg.initial_epoch == 4
    assert stretch_schedule(cfg, 3).model.train_cfg.initial_epoch == 12
    student = Config(dict(train_cfg=cfg.train_cfg, model=dict(student=cfg.model)))
    assert stretch_schedule(student, 3).model.student.train_cfg.initial_epoch == 12


def test_what_else_hooks_count():
    stretched = stretch_schedule(
        with_hooks(
            dict(type=EarlyStoppingHook, monitor='coco/bbox_mAP'),
            dict(type='mmengine.EarlyStoppingHook', monitor='coco/bbox_mAP', patience=2),
            dict(type='EMAHook', momentum=0.1, begin_iter=0),
            dict(type=FastStopTrainingHook, by_epoch=True, stop_iter_or_epoch=3),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=2, save_begin=2),
                logger=dict(type='LoggerHook', interval=50),
                timer=None,
            ),
        ),
        2.5,
    )
    by_default, early, average, fast = stretched.custom_hooks
    assert training_length(stretched) == (10, 'epochs')
    assert by_default.patience == 12  # 5 by default, of validations, which are as often as before
    assert early.patience == 5
    assert average == dict(type='EMAHook', momentum=0.1, begin_iter=0)
    assert fast.stop_iter_or_epoch == 8
    assert stretched.default_hooks == dict(
        checkpoint=dict(type='CheckpointHook', interval=2, save_begin=5),
        logger=dict(type='LoggerHook', interval=50),
        timer=None,
    )


@pytest.mark.parametrize('kind', ['EMAHook', 'mmpretrain.EMAHook'])
def test_the_average_begins_at_the_same_share(kind):
    if kind.startswith('mmpretrain'):
        pytest.importorskip('mmpretrain')
    cfg = with_hooks(dict(type=kind, begin_epoch=2))

    def plain_epochs(cfg: Config) -> int:
        hook = HOOKS.build(dict(cfg.custom_hooks[0]))
        runners = [SimpleNamespace(epoch=epoch) for epoch in range(cfg.train_cfg.max_epochs)]
        return sum(not hook._ema_started(runner) for runner in runners)

    assert plain_epochs(cfg) == 1  # of 4
    assert plain_epochs(stretch_schedule(cfg, 3)) == 3  # of 12


def test_mmpretrains_recipe_changes_at_the_same_share():
    pytest.importorskip('mmpretrain')
    schedule = [dict(action_epoch=1), dict(action_epoch=2, batch_augments=None)]
    cfg = with_hooks(dict(type='SwitchRecipeHook', schedule=schedule), default_scope='mmpretrain')
    stretched = stretch_schedule(cfg, 3)
    assert [one.action_epoch for one in stretched.custom_hooks[0].schedule] == [1, 4]

    def without(hook, runner) -> bool:
        return runner.model.data_preprocessor.batch_augments is None

    for one, share in ((cfg, 1), (stretched, 3)):  # of 4, of 12
        one.custom_hooks[0].type = 'mmpretrain.SwitchRecipeHook'
        assert epochs_until(one, 0, without) == share


def test_the_loop_validates_later_as_often():
    cfg = config(max_iters=4000, val_interval=500, val_begin=2001, dynamic_intervals=[(3000, 100)])
    assert stretch_schedule(cfg, 2).train_cfg == dict(
        max_iters=8000, val_interval=500, val_begin=4001, dynamic_intervals=[(6000, 100)]
    )


def test_schedulers_by_scope_class_and_of_the_momentum():
    stretched = stretch_schedule(
        config(
            dict(type='mmdet.QuadraticWarmupLR', by_epoch=True, begin=0, end=2),
            dict(type=CosineAnnealingLR, by_epoch=True, begin=2, end=12, T_max=10),
            dict(type='StepMomentum', by_epoch=True, step_size=4, gamma=0.9),
            dict(type='CosineRestartLR', by_epoch=True, periods=[4, 8], restart_weights=[1, 0.5]),
            dict(type='OneCycleLR', by_epoch=True, eta_max=0.1, total_steps=12),
            max_epochs=12,
        ),
        2,
    )
    warm_up, cosine, step, restart, cycle = stretched.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 2)
    assert (cosine.begin, cosine.end, cosine.T_max) == (2, 24, 22)
    assert step.step_size == 8 and 'end' not in step
    assert restart.periods == [8, 16] and restart.restart_weights == [1, 0.5]
    assert cycle.total_steps == 24


class FreezeHook(Hook):
    """A user's own."""

    def __init__(self, frozen_until: int = 3, name: str = '') -> None:
        self.frozen_until = frozen_until


class LaterFreezeHook(PipelineSwitchHook):
    def __init__(self, thaw_epoch: int, **kwargs) -> None:
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    'hook, said',
    [
        (dict(type=FreezeHook), r'custom_hooks.0 \(FreezeHook\) has frozen_until=3'),
        (
            dict(type=LaterFreezeHook, thaw_epoch=2, switch_epoch=3, switch_pipeline=[]),
            r'\(LaterFreezeHook\) has thaw_epoch=2, .*TIMES\[.LaterFreezeHook.\] = \(.thaw_epoch',
        ),
    ],
)
def test_a_hook_that_may_count_and_is_not_known_is_refused(hook, said):
    with pytest.raises(ValueError, match=said):
        stretch_schedule(with_hooks(hook), 2)


def test_a_hook_is_made_known(monkeypatch):
    cfg = with_hooks(dict(type=FreezeHook))
    monkeypatch.setitem(TIMES, 'FreezeHook', ())
    assert stretch_schedule(cfg, 2).custom_hooks == cfg.custom_hooks
    monkeypatch.setitem(TIMES, 'FreezeHook', ('frozen_until',))
    assert stretch_schedule(cfg, 2).custom_hooks[0].frozen_until == 6
    later = with_hooks(dict(type=LaterFreezeHook, thaw_epoch=2, switch_epoch=3))
    monkeypatch.setitem(TIMES, 'LaterFreezeHook', ('thaw_epoch',))
    stretched = stretch_schedule(later, 2).custom_hooks[0]
    assert (stretched.thaw_epoch, stretched.switch_epoch) == (4, 6)


def test_a_model_that_counts_epochs_is_refused():
    cfg = with_hooks(model=dict(head=[dict(warmup_epochs=1), dict(late_epoch=5)]))
    with pytest.raises(ValueError, match='model.head.1.late_epoch=5 sounds like'):
        stretch_schedule(cfg, 2)


def test_all_hooks_of_mmengine_and_mmdetection_are_known():
    refused = set()
    for registry in (HOOKS, DETECTION_HOOKS):
        registry.import_from_location()
        for name, kind in registry.module_dict.items():
            if kind.__module__.split('.')[0] in ('mmengine', 'mmdet'):
                try:
                    check_known('custom_hooks.0', {}, kind)
                except ValueError:
                    refused.add(name)
    assert refused == {'NPUProfilerHook'}
