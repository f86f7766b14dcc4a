import mmdet
import pytest
from mmengine.config import Config

from pd_mmdet.recipes.schedule import stretch_schedule, training_length

WARM_UP = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)


def config(*schedulers: dict, **train_cfg: int) -> Config:
    return Config(dict(train_cfg=train_cfg, param_scheduler=list(schedulers)))


def test_mmdetections_1x():
    path = mmdet.__path__[0] + '/.mim/configs/_base_/schedules/schedule_1x.py'
    cfg = Config.fromfile(path)
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
