"""A distiller under MMEngine's runner: resumed trainings, checkpoints, and the stock train.py."""

from pathlib import Path
from typing import NamedTuple

import mmdet
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from pd_mmdet.testing.zoo.chain import run_python
from tests.helpers import ROOT
from tests.helpers.tiny import BOX, CLS, PKD, build, distiller, retinanet, save

RECIPE = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'
STOCK_TRAIN = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'
CLASSES = ('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T')


def dataset(root: Path, split: str, views: tuple) -> dict:
    return dict(
        type='CocoDataset',
        data_root=str(root),
        metainfo=dict(classes=CLASSES),
        ann_file=f'annotations/{split}.json',
        data_prefix=dict(img=f'{split}/'),
        test_mode=split == 'val',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='LowResolution', ratio=2, views=views),
            dict(type='PackPairedDetInputs'),
        ],
    )


def config(root: Path, by_epoch: bool) -> dict:
    """Three epochs of two iterations, a checkpoint after every third iteration or every epoch."""
    teacher = retinanet(first=8, channels=16, classes=len(CLASSES))
    checkpoint = root / 'teacher.pth'
    model = distiller(
        retinanet(classes=len(CLASSES)),
        teacher=dict(cfg=teacher, checkpoint=save(teacher, checkpoint)),
        terms=dict(pkd=PKD, cls=CLS, box=BOX),
        isrd=dict(weight=1.0),
    )
    loops = dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=2),
        train_dataloader=dict(sampler=dict(type='InfiniteSampler', shuffle=True)),
    )
    if by_epoch:
        loops = dict(
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1),
            train_dataloader=dict(sampler=dict(type='DefaultSampler', shuffle=True)),
        )
    return dict(
        model=model,
        default_scope='mmdet',
        train_cfg=loops['train_cfg'],
        train_dataloader=dict(
            batch_size=6,
            num_workers=0,
            dataset=dataset(root, 'train', ('hr', 'lr')),
            **loops['train_dataloader'],
        ),
        val_cfg=dict(type='ValLoop'),
        val_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset(root, 'val', ('lr',)),
        ),
        val_evaluator=dict(type='CocoMetric', ann_file=str(root / 'annotations/val.json')),
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1e-3),
            clip_grad=dict(max_norm=10),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=4, T_max=2),
        ],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=1 if by_epoch else 3)
        ),
        custom_hooks=[dict(type='EMAHook', momentum=0.1)],
        log_processor=dict(by_epoch=by_epoch),
        randomness=dict(seed=3),
        log_level='WARNING',
    )


def train(cfg: dict, work_dir: Path, **options: object) -> Runner:
    runner = Runner.from_cfg(
        Config(dict(cfg, work_dir=str(work_dir), experiment_name=str(work_dir), **options))
    )
    runner.train()
    return runner


def leaves(node: object, path: str = '') -> dict[str, object]:
    """Every value of nested dicts and lists, by its path."""
    if not isinstance(node, (dict, list, tuple)):
        return {path: node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return {
        name: value
        for key, child in items
        for name, value in leaves(child, f'{path}.{key}').items()
    }


def assert_same(own: object, other: object) -> None:
    own, other = leaves(own), leaves(other)
    assert own.keys() == other.keys()
    for name, value in own.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


class Training(NamedTuple):
    """One that was not interrupted, its checkpoints in the middle and at the end."""

    cfg: dict
    runner: Runner
    middle: Path
    end: Path


@pytest.fixture(scope='module', params=['iter', 'epoch'])
def whole(request, glyphs, tmp_path_factory) -> Training:
    by_epoch = request.param == 'epoch'
    cfg, work_dir = config(glyphs, by_epoch), tmp_path_factory.mktemp(request.param)
    middle, end = ('epoch_1', 'epoch_3') if by_epoch else ('iter_3', 'iter_6')
    return Training(cfg, train(cfg, work_dir), work_dir / f'{middle}.pth', work_dir / f'{end}.pth')


def opened(path: Path) -> dict:
    return torch.load(path, weights_only=False)


def test_a_resumed_training_continues_as_if_it_had_not_stopped(whole, tmp_path):
    resumed = train(whole.cfg, tmp_path, resume=True, load_from=str(whole.middle))
    first, last, again = map(opened, (whole.middle, whole.end, tmp_path / whole.end.name))
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert_same(last[part], again[part])
    assert_same(whole.runner.model.state_dict(), resumed.model.state_dict())
    assert whole.runner.iter == resumed.iter == 6
    for part in ('state_dict', 'ema_state_dict'):  # and something happened
        changed = [
            name for name, value in last[part].items() if not torch.equal(value, first[part][name])
        ]
        assert len(changed) > 100 and any('distill.isrd' in name for name in changed)


def test_the_checkpoint_holds_the_student_alone(whole):
    content = opened(whole.end)
    weights = content['state_dict']
    plain = {name: value for name, value in weights.items() if not name.startswith('distill.')}
    build(retinanet(classes=len(CLASSES))).load_state_dict(plain, strict=True)
    saved = [value for value in leaves(content).values() if isinstance(value, torch.Tensor)]
    model = whole.runner.model
    for value in model.teacher.model.state_dict().values():
        same = [other for other in saved if other.shape == value.shape and value.dim() == 4]
        assert not any(torch.equal(value, other) for other in same)
    assert not any('teacher' in name for name in [*weights, *content['ema_state_dict']])
    tensors = sum(len(group['params']) for group in content['optimizer']['param_groups'])
    assert tensors == len(list(model.parameters()))


@pytest.mark.parametrize('stage, before', [('assistant', 'teacher'), ('student', 'assistant')])
def test_the_stock_train_py_trains_a_recipe(glyphs, tmp_path, stage, before, monkeypatch):
    checkpoint = save(Config.fromfile(RECIPE / f'{before}.py').model, tmp_path / 'before.pth')
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv(f'{before.upper()}_CHECKPOINT', checkpoint)
    options = [
        'train_cfg.max_iters=2',
        'train_cfg.val_begin=3',
        'default_hooks.checkpoint.interval=2',
        *(
            f'{split}_dataloader.{option}'
            for split in ('train', 'val')
            for option in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
        ),
    ]
    config = RECIPE / f'{stage}.py'
    run_python([STOCK_TRAIN, config, '--work-dir', tmp_path, '--cfg-options', *options])
    weights = torch.load(tmp_path / 'iter_2.pth', weights_only=False)['state_dict']
    plain = {name: value for name, value in weights.items() if not name.startswith('distill.')}
    build(Config.fromfile(RECIPE / 'baseline.py').model).load_state_dict(plain, strict=True)


def test_a_compiled_step_learns_the_same(glyphs, tmp_path):
    """By MMEngine's option, with what dynamo sees of the taps and of the teacher."""
    cfg = config(glyphs, by_epoch=False) | dict(custom_hooks=[], param_scheduler=[])
    cfg['train_cfg'] = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=9)
    cfg['train_dataloader'] |= dict(batch_size=1)  # dynamo traces the loss of every image
    cfg['model'] |= dict(terms=dict(pkd=PKD, cls=CLS), isrd=None)
    logged = []
    for name, compiled in dict(plain=False, compiled=dict(backend='eager')).items():
        scalars = train(cfg, tmp_path / name, compile=compiled).message_hub.log_scalars
        logged.append({key: scalars[key].data[0].tolist() for key in scalars if 'loss' in key})
    assert logged[0].keys() > {'train/distill_pkd_loss', 'train/distill_cls_loss'}
    torch.testing.assert_close(logged[1], logged[0], rtol=1e-5, atol=0)
