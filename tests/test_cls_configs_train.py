"""Configs of classifiers train a step and predict, on a few images in each dataset's format."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

from tests.helpers import ROOT

datasets = pytest.importorskip('mmpretrain.datasets')
CONFIGS = ROOT / 'configs'
# Every kind of network, dataset and ratio once; k = 2 and 4, CUB and Aircraft are alike otherwise.
STUDENTS = [
    'resnet/resnet_r50-r18_cifar100_k2',
    'resnet/resnet_vit-b-r18_cub_k4',
    'vision_transformer/vit_r50-tiny_aircraft_k4',
    'vision_transformer/vit_r50-tiny_in1k_k2',
    'shufflenet_v2/shufflenet-v2_r50-1x_aircraft_k2',
    'mobilenet_v3/mobilenet-v3_r50-small_cub_k2',
]
FILES = [f'{recipe}/student.py' for recipe in STUDENTS] + [
    'resnet/resnet_r50-r18_in1k_k2/assistant.py',
    'vision_transformer/vit_r50-tiny_cub_k4/one_stage.py',
    'vision_transformer/vit_r50-tiny_cub_k4/baseline.py',
    'vision_transformer/vit_r50-tiny_cub_k4/deploy.py',
]


@pytest.fixture(autouse=True)
def mmpretrain_scope(scope_and_seed):
    init_default_scope('mmpretrain')


def images(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 255, (240, 300, 3), dtype=np.uint8)
        cv2.imwrite(str(file), noise)


def make_cub(root: Path) -> None:
    names = ['001.Black/a.jpg', '200.Yellow/b.jpg', '001.Black/c.jpg', '200.Yellow/d.jpg']
    images(root / 'images', *names)
    columns = dict(images=names, image_class_labels=[1, 200, 1, 200], train_test_split=[1, 1, 0, 0])
    for name, column in columns.items():
        lines = [f'{number} {value}\n' for number, value in enumerate(column, 1)]
        (root / f'{name}.txt').write_text(''.join(lines))


def make_aircraft(root: Path) -> None:
    images(root / 'data' / 'images', '1.jpg', '2.jpg')
    for split in ('trainval', 'test'):
        file = root / 'data' / f'images_variant_{split}.txt'
        file.write_text('1 707-320\n2 Yak-42\n')


def make_imagenet(root: Path) -> None:
    (root / 'meta').mkdir(parents=True)
    for split in ('train', 'val'):
        images(root / split, 'a.JPEG', 'b.JPEG')
        (root / 'meta' / f'{split}.txt').write_text('a.JPEG 0\nb.JPEG 999\n')


def make_cifar100(root: Path) -> None:
    (root / 'cifar-100-python').mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3072), dtype=np.uint8)
    for split in ('train', 'test'):
        content = pickle.dumps(dict(data=pixels, fine_labels=[0, 99]))
        (root / 'cifar-100-python' / split).write_bytes(content)


@pytest.fixture(scope='module', autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp('data')
    makers = dict(
        CUB=make_cub, AIRCRAFT=make_aircraft, IMAGENET=make_imagenet, CIFAR100=make_cifar100
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, make in makers.items():
            make(root / name)
            patch.setenv(f'{name}_ROOT', str(root / name))
        # No checksums: the files are not the real ones.
        for split in ('train', 'test'):
            patch.setattr(datasets.CIFAR100, f'{split}_list', [[split, None]])
        yield


def items(loader: dict) -> dict:
    dataset = DATASETS.build(loader['dataset'])
    return pseudo_collate([dataset[index] for index in range(2)])


@pytest.mark.parametrize('file', FILES)
def test_it_trains_a_step_and_predicts(file: str):
    cfg = Config.fromfile(CONFIGS / file)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    if cfg.get('train_cfg'):
        optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        log = model.train_step(items(cfg.train_dataloader), optim_wrapper)
        assert log['loss'].isfinite()
        terms = getattr(model, 'distill', {})
        assert all(log[f'distill_{name}_loss'] > 0 for name in terms)
    with torch.no_grad():
        found = model.eval().test_step(items(cfg.val_dataloader))
    classes = cfg.model.get('student', cfg.model).head.num_classes
    assert [sample.pred_score.shape for sample in found] == [(classes,)] * 2
    assert [sample.gt_label.item() for sample in found] == [0, classes - 1]


@pytest.mark.parametrize(
    'recipe', ['vision_transformer/vit_r50-tiny_cub_k4', 'resnet/resnet_r50-r18_cifar100_k2']
)
def test_what_each_stage_reads(recipe: str):
    side = 32 if 'cifar' in recipe else 224
    ratio = int(recipe[-1])
    for stage in ('teacher', 'ceiling', 'assistant', 'student', 'baseline'):
        cfg = Config.fromfile(CONFIGS / recipe / f'{stage}.py')
        small = stage in ('student', 'baseline')
        batch = items(cfg.val_dataloader)['inputs']
        assert batch[0].shape == (3, *[side // ratio if small else side] * 2)
        batch = items(cfg.train_dataloader)['inputs']
        if stage == 'student':
            assert batch['hr'][0].shape == (3, side, side)
            batch = batch['lr']
        assert batch[0].shape == (3, *[side // ratio if small else side] * 2)
