"""Configs of classifiers train a step and predict, on a few images in each dataset's format."""

import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

from pd_mmdet.workbench.recipes import make
from pd_mmdet.workbench.stages.recipe import read_stage
from tests.helpers import ROOT

datasets = pytest.importorskip('mmpretrain.datasets')
CONFIGS = ROOT / 'configs'
SHIPPED = ['resnet_r50-r18_cifar100_k2', 'resnet_r50-r18_in1k_k2', 'resnet_r50-r18_aircraft_k2']
VIT = ('vision_transformer/vit-tiny-p16_90e_cub', 'resnet/resnet50_120e_cub', 4)
# Student, teacher and ratio of recipes that the READMEs say how to make: every kind of network.
MADE = [
    VIT,
    ('resnet/resnet18_120e_cub', 'vision_transformer/vit-base-p16_90e_cub', 4),
    ('vision_transformer/vit-tiny-p16_90e_aircraft', 'resnet/resnet50_120e_aircraft', 2),
    ('shufflenet_v2/shufflenet-v2-1x_120e_aircraft', 'resnet/resnet50_120e_aircraft', 2),
    ('mobilenet_v3/mobilenet-v3-small_120e_cub', 'resnet/resnet50_120e_cub', 2),
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


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a recipe from two plain configs and a ratio."""
    monkeypatch.setattr(make, '_check', lambda *_: None)  # the tests build what they need

    def make_recipe(student: str, teacher: str, ratio: int) -> Path:
        files = (str(CONFIGS / f'{name}.py') for name in (student, teacher))
        make.make_recipe(*files, ratio, tmp_path / f'recipe_k{ratio}')
        return tmp_path / f'recipe_k{ratio}'

    return make_recipe


def check_training(recipe: Path, stage: str) -> None:
    """Train a step and predict."""
    cfg = read_stage(recipe, stage)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
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


@pytest.mark.parametrize('recipe', SHIPPED)
def test_a_shipped_student_trains_a_step_and_predicts(recipe: str):
    check_training(CONFIGS / 'resnet' / recipe, 'student')


@pytest.mark.parametrize('student, teacher, ratio', MADE)
def test_a_student_of_another_kind_trains_a_step_and_predicts(student, teacher, ratio, made):
    check_training(made(student, teacher, ratio), 'student')


@pytest.mark.parametrize('stage', ['assistant', 'one_stage', 'baseline'])
def test_the_other_stages_train_a_step_and_predict(stage, made):
    check_training(made(*VIT), stage)


@pytest.mark.parametrize('name', ['vit', 'cifar'])
def test_what_each_stage_reads(name: str, made):
    recipe = made(*VIT) if name == 'vit' else CONFIGS / 'resnet' / 'resnet_r50-r18_cifar100_k2'
    side = 32 if name == 'cifar' else 224
    ratio = int(recipe.name[-1])
    for stage in ('teacher', 'ceiling', 'assistant', 'student', 'baseline'):
        cfg = read_stage(recipe, stage)
        small = stage in ('student', 'baseline')
        batch = items(cfg.val_dataloader)['inputs']
        assert batch[0].shape == (3, *[side // ratio if small else side] * 2)
        batch = items(cfg.train_dataloader)['inputs']
        if stage == 'student':
            assert batch['hr'][0].shape == (3, side, side)
            batch = batch['lr']
        assert batch[0].shape == (3, *[side // ratio if small else side] * 2)
