"""Two processes train what one process trains that sees the images of both."""

import os
import socket
import subprocess
import sys
from copy import deepcopy
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel, convert_sync_batchnorm, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch import distributed as dist

from pd_mmdet.checkpoint import load_data
from pd_mmdet.workbench.stages.stage import Stage
from tests.helpers import ROOT
from tests.helpers.many_processes import WATCHED
from tests.helpers.tiny import BOX, CLS, batch, build, distiller, forward, retinanet, save

CLASSES = ('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T')
NECKS = dict(student='neck', teacher='neck', weight=5.0)
CWD = dict(NECKS, loss=dict(type='ChannelWiseKLLoss'))
MSE = dict(NECKS, loss=dict(type='MSELoss'))
PKD = dict(NECKS, loss=dict(type='PearsonLoss'))
EMA = dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.1, gamma=2)

ENVIRONMENT = dict(
    OMP_NUM_THREADS='1',
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]),
    PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')])),
)
NO_GPU = dict(CUDA_VISIBLE_DEVICES='')
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are GPUs: theirs is another arithmetic."""
    for name, value in (ENVIRONMENT | NO_GPU).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'cpu')


def detector(name: str, first: int = 4, channels: int = 8) -> ConfigDict:
    """A detector with three levels, the first of stride ``first`` (4 or 8), all norms in eval."""
    cfg = retinanet(first, channels, len(CLASSES))
    cfg.backbone.norm_eval = True
    if name == 'RetinaNet':
        return cfg
    head = {key: cfg.bbox_head[key] for key in ('num_classes', 'in_channels', 'feat_channels')}
    head |= dict(
        type=f'{name}Head',
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=4),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='GIoULoss'),
    )
    strides = [first, 2 * first, 4 * first]
    if name == 'FCOS':
        ranges = ((-1, 2 * first), (2 * first, 4 * first), (4 * first, 1e8))
        head |= dict(strides=strides, regress_ranges=ranges)
    else:
        head['anchor_generator'] = dict(cfg.bbox_head.anchor_generator, ratios=[1.0])
        cfg.train_cfg.assigner = dict(type='ATSSAssigner', topk=4)
    return ConfigDict(dict(cfg, type=name, bbox_head=head))


def distilled(name: str, folder: Path, **terms: dict) -> ConfigDict:
    """A detector whose teacher is wider, and knows as little."""
    teacher = detector(name, first=8, channels=16)
    teacher = dict(cfg=teacher, checkpoint=save(teacher, folder / 'teacher.pth'))
    return distiller(detector(name), teacher=teacher, terms=terms, isrd=dict(weight=1.0))


def dataset(root: Path, split: str, views: list[str], indices: list[int] | None = None) -> dict:
    return dict(
        type='CocoDataset',
        data_root=str(root),
        metainfo=dict(classes=CLASSES),
        ann_file=f'annotations/{split}.json',
        data_prefix=dict(img=f'{split}/'),
        test_mode=split == 'val',
        indices=indices,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='LowResolution', ratio=2, views=views),
            dict(type='PackPairedDetInputs'),
        ],
    )


def config(
    root: Path,
    model: dict,
    work_dir: Path,
    batch_size: int = 2,
    indices: list[int] | None = None,
    hooks: list[dict] = [],
    **optim_wrapper: object,
) -> Config:
    """One epoch of SGD over the images in their order, or in that of ``indices``."""
    loader = dict(num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    train, val = dataset(root, 'train', ['hr', 'lr'], indices), dataset(root, 'val', ['lr'])
    cfg = dict(
        custom_imports=dict(imports=['pd_mmdet', 'tests.helpers.many_processes']),
        default_scope='mmdet',
        work_dir=str(work_dir),
        experiment_name=work_dir.name,
        model=deepcopy(model),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
        train_dataloader=dict(loader, batch_size=batch_size, dataset=train),
        val_cfg=dict(type='ValLoop'),
        val_dataloader=dict(loader, batch_size=2, dataset=val),
        val_evaluator=dict(type='CocoMetric', ann_file=str(root / 'annotations/val.json')),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.02, momentum=0.9),
            clip_grad=dict(max_norm=35),
            **optim_wrapper,
        ),
        auto_scale_lr=dict(base_batch_size=8),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        custom_hooks=[
            dict(type='TeacherHook', num_images=2),
            dict(type='PriorCoverageHook'),
            *hooks,
        ],
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
        randomness=dict(seed=3),
        log_level='WARNING',
    )
    return Config(cfg, format_python_code=False)


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])


def train_in_two_processes(cfg: Config, environment: dict[str, str], *options: str) -> dict:
    """By dist_train.sh; returns the checkpoint."""
    file = Path(cfg.work_dir).with_suffix('.json')
    cfg.dump(file)
    subprocess.run(
        ['bash', ROOT / 'tools' / 'dist_train.sh', file, '2', *options],
        env=os.environ | ENVIRONMENT | environment | dict(PORT=free_port()),
        check=True,
    )
    return load_data(Path(cfg.work_dir) / 'epoch_1.pth')


class FirstWeights(Hook):
    """Those that a training starts from."""

    def before_train(self, runner: Runner) -> None:
        self.weights = deepcopy(runner.model.state_dict())


def assert_same_in_one_process(checkpoint: dict, cfg: Config) -> None:
    """The checkpoint is that of a config's training, which changes every part of the model."""
    runner, first = Runner.from_cfg(cfg), FirstWeights()
    runner.register_hook(first)
    runner.train()
    assert not is_model_wrapper(runner.model)
    one = load_data(Path(cfg.work_dir) / 'epoch_1.pth')
    for part in {'state_dict', 'ema_state_dict'} & one.keys():
        assert_same(checkpoint[part], one[part])
    assert_changed(first.weights, runner.model.state_dict())


def assert_same(own: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    own, other = (
        {name: value for name, value in weights.items() if not name.endswith(WATCHED)}
        for weights in (own, other)
    )
    torch.testing.assert_close(own, other, **(tolerance or dict(rtol=1e-5, atol=1e-6)))


def assert_changed(own: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Much more than `assert_same` tolerates."""
    changes = {name: (other[name] - value).abs().max() for name, value in own.items()}
    parts = {'.'.join(name.split('.')[:2]) for name in changes}
    assert {'backbone.conv1', 'backbone.layer3', 'neck.fpn_convs'} < parts
    for part in parts:
        assert max(changes[name] for name in changes if name.startswith(part)) > 1e-5, part


class Training(NamedTuple):
    """One in two processes."""

    model: dict
    folder: Path


@pytest.fixture(scope='module')
def fcos(glyphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    folder = tmp_path_factory.mktemp('fcos')
    model = distilled('FCOS', folder, cwd=CWD, mse=MSE)
    cfg = config(glyphs, model, folder / 'two', hooks=[EMA, dict(type='Watch')])
    cfg.model_wrapper_cfg.broadcast_buffers = True
    train_in_two_processes(cfg, NO_GPU, '--auto-scale-lr')
    return Training(model, folder / 'two')


def test_two_processes_of_fcos_train_on_the_joined_batch(fcos, glyphs, tmp_path, on_the_cpu):
    # FCOS divides by the mean of the processes' positives, and the terms are means over equally
    # large images: the mean of the processes' gradients is that of the joined batch.
    cfg = config(glyphs, fcos.model, tmp_path / 'one', batch_size=4, hooks=[EMA])
    cfg.optim_wrapper.optimizer.lr /= 2  # as --auto-scale-lr does for 4 images instead of 8
    assert_same_in_one_process(load_data(fcos.folder / 'epoch_1.pth'), cfg)


def test_ddp_does_not_see_the_teacher(fcos):
    first, second = (load_data(fcos.folder / f'rank{rank}.pth') for rank in (0, 1))
    model = build(fcos.model)
    names = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    for rank in (first, second):
        assert rank['wrapper'] == 'MMDistributedDataParallel'
        assert rank['names'] == [f'module.{name}' for name in names]
        assert rank['teachers'] == []
    # The first process' buffers were broadcast to the second: the student's, not the teacher's.
    assert (first['student'], first['teacher']) == (10, 10)
    assert (second['student'], second['teacher']) == (10, 11)


def test_the_average_is_validated_and_saved_without_the_teacher(fcos):
    saved = load_data(fcos.folder / 'epoch_1.pth')
    names = build(fcos.model).state_dict().keys()
    assert saved['state_dict'].keys() == names
    assert saved['ema_state_dict'].keys() == {'steps', *(f'module.{name}' for name in names)}
    for rank in (0, 1):
        noted = load_data(fcos.folder / f'rank{rank}.pth')
        assert noted['ema_shares_teacher']
        assert_same(noted['validated'], saved['state_dict'])  # EMAHook saves the average as that
    name = 'bbox_head.conv_cls.weight'
    assert not torch.allclose(saved['state_dict'][name], saved['ema_state_dict'][f'module.{name}'])


def test_two_processes_of_retinanet_accumulate_over_the_halves(glyphs, tmp_path, on_the_cpu):
    # RetinaNet divides by the positives of its own process, and PearsonLoss standardises over the
    # images of its own: both see a half. Terms between heads would not: they divide by the mean of
    # the processes' confidences.
    model = distilled('RetinaNet', tmp_path, cwd=CWD, pkd=PKD)
    two = Stage('student', config(glyphs, model, tmp_path / 'two'), tmp_path / 'two')
    two.train(gpus=2)
    halves = [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11]  # every second image is the other process'
    cfg = config(glyphs, model, tmp_path / 'one', indices=halves, accumulative_counts=2)
    assert_same_in_one_process(load_data(two.checkpoint), cfg)


@pytest.mark.parametrize('objects', [True, False])
@pytest.mark.parametrize('name', ['RetinaNet', 'FCOS', 'ATSS'])
def test_every_step_uses_every_parameter(tmp_path, name, objects):
    """So DDP need not look for unused ones."""
    model = build(distilled(name, tmp_path, cwd=CWD, mse=MSE))
    data = batch(classes=len(CLASSES))
    for sample in data['data_samples']:
        sample.gt_instances = sample.gt_instances[: None if objects else 0]
    total, _ = model.parse_losses(forward(model, data))
    total.backward()
    assert not [path for path, value in model.named_parameters() if value.grad is None]


def train(model: nn.Module, batches: list[dict]) -> None:
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02)
    for data in batches:
        model.train_step(data, OptimWrapper(optimiser))


def train_one_of_two(rank: int, model: nn.Module, batches: list[dict], folder: Path) -> None:
    group = dict(rank=rank, world_size=2, timeout=timedelta(minutes=2))
    dist.init_process_group('gloo', f'file://{folder}/group', **group)
    train(MMDistributedDataParallel(model), batches)
    torch.save(model.state_dict(), folder / f'{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='its processes are forks of this one')
def test_terms_between_heads_divide_by_the_same_in_all_processes(tmp_path):
    # ATSS, too, divides by the mean of the processes' positives.
    model = build(distilled('ATSS', tmp_path, cls=dict(CLS, weight=5.0), box=dict(BOX, weight=5.0)))
    model.init_weights()
    first = deepcopy(model.state_dict())
    # The halves differ in what the teacher sees, too.
    halves = [
        [batch(seed=seed, classes=len(CLASSES)) for seed in seeds] for seeds in ((0, 1), (2, 3))
    ]
    processes = [
        get_context('fork').Process(target=train_one_of_two, args=(rank, model, half, tmp_path))
        for rank, half in enumerate(halves)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    train(model, [joined(*step) for step in zip(*halves)])
    for rank in (0, 1):
        assert_same(load_data(tmp_path / f'{rank}.pth'), model.state_dict())
    assert_changed(first, model.state_dict())


def joined(first: dict, second: dict) -> dict:
    images = {view: [*first['inputs'][view], *second['inputs'][view]] for view in first['inputs']}
    return dict(inputs=images, data_samples=first['data_samples'] + second['data_samples'])


def test_only_the_students_norms_are_synchronised(tmp_path):
    cfg = distilled('RetinaNet', tmp_path, cwd=CWD)
    cfg.student.backbone.norm_eval = False
    plain = build(cfg)
    plain.init_weights()
    model = convert_sync_batchnorm(deepcopy(plain), 'torch')
    assert type(model).__name__ == type(plain).__name__ and model.teacher is not None
    norms = {type(module) for module in model.modules() if 'BatchNorm' in type(module).__name__}
    assert norms == {nn.SyncBatchNorm}
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.teacher.model.modules())
    for one in (plain, model):  # in a process alone they are plain norms
        train(one, [batch(seed=seed, classes=len(CLASSES)) for seed in (0, 1)])
    assert_same(plain.state_dict(), model.state_dict())


@NEEDS_GPU
def test_synchronised_norms_have_the_statistics_of_the_joined_batch(glyphs, tmp_path):
    """Two processes, which share the GPU if there is one."""
    model = distilled('FCOS', tmp_path, cwd=CWD, mse=MSE)
    model.student.backbone.norm_eval = False
    full_precision = dict(NVIDIA_TF32_OVERRIDE='0')
    cfg = config(glyphs, model, tmp_path / 'two')
    cfg.sync_bn = 'torch'
    two = train_in_two_processes(cfg, full_precision)['state_dict']
    one = Stage('student', config(glyphs, model, tmp_path / 'one', batch_size=4), tmp_path / 'one')
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | full_precision).items():
            patch.setenv(name, value)
        one.train()
    assert_same(two, load_data(one.checkpoint)['state_dict'], rtol=1e-3, atol=1e-4)


@NEEDS_GPU
def test_two_processes_train_in_mixed_precision(glyphs, tmp_path):
    model = distilled('FCOS', tmp_path, cwd=CWD, mse=MSE)
    checkpoint = train_in_two_processes(config(glyphs, model, tmp_path / 'two'), {}, '--amp')
    assert checkpoint['optimizer']['loss_scaler']['scale'] > 0
    for name, value in checkpoint['state_dict'].items():
        assert value.isfinite().all() and value.dtype != torch.float16, name
