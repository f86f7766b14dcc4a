from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmpretrain')

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS

from pd_mmdet.workbench.stages.evaluate import costs, measure


@MODELS.register_module()
class Prejudiced(ImageClassifier):
    """Whatever the image, the first class is the likeliest, then the second and so on."""

    def predict(self, inputs, data_samples=None):
        scores = torch.arange(self.head.num_classes, 0, -1.0)
        return [sample.set_pred_score(scores / scores.sum()) for sample in data_samples]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder for images of 24x16."""
    return tmp_path / 'data'


def write_images(root: Path, classes: int) -> None:
    """Four images of the first class and one of each other."""
    for label in range(classes):
        (root / str(label)).mkdir(parents=True)
        for index in range(1 if label else 4):
            file = root / str(label) / f'{index}.png'
            cv2.imwrite(str(file), np.zeros((16, 24, 3), np.uint8))


def config(root: Path, classes: int = 7, **model) -> Config:
    write_images(root, classes)
    backbone = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
    head = dict(type='LinearClsHead', num_classes=classes, in_channels=64)
    plain = dict(
        type='Prejudiced', backbone=backbone, neck=dict(type='GlobalAveragePooling'), head=head
    )
    dataset = dict(
        type='CustomDataset',
        data_root=str(root),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    loader = dict(
        batch_size=3,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset,
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            model=plain | model,
            data_preprocessor=dict(mean=[0.0] * 3, std=[1.0] * 3),
            val_dataloader=loader,
            val_cfg=dict(),
            val_evaluator=dict(type='Accuracy', topk=1),
        )
    )


@pytest.fixture
def weights(tmp_path) -> Path:
    file = tmp_path / 'stage' / 'epoch_1.pth'
    file.parent.mkdir()
    return file


@pytest.mark.parametrize(
    'classes, expected',
    [
        (7, dict(top1=0.4, top5=0.8, balanced=1 / 7)),
        (5, dict(top1=0.5, top5=-1.0, balanced=0.2)),
    ],
)
def test_accuracies(root, weights, classes, expected):
    cfg = config(root, classes)
    torch.save(dict(state_dict=MODELS.build(cfg.model.copy()).state_dict()), weights)
    assert measure(cfg, weights, weights.parent / 'test') == pytest.approx(expected)


def test_each_of_two_sets(root, weights):
    """The second set has images of the first class only."""
    cfg = config(root)
    torch.save(dict(state_dict=MODELS.build(cfg.model.copy()).state_dict()), weights)
    every = cfg.val_dataloader.dataset
    first = dict(every, indices=4)
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[every, first])
    found = measure(cfg, weights, weights.parent / 'test')
    assert found['1/top1'] == pytest.approx(0.4) and found['2/top1'] == pytest.approx(1.0)
    assert len(found) == 6


def test_costs_of_a_transformer(root):
    """Counted by hand: 2x3 patches of 8x8 and a class token, two heads, one layer."""
    tokens, dims, hidden, classes = 2 * 3 + 1, 8, 16, 7
    arch = dict(embed_dims=dims, num_layers=1, num_heads=2, feedforward_channels=hidden)
    cfg = config(
        root,
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch=arch, img_size=(16, 24), patch_size=8),
        neck=None,
        head=dict(type='VisionTransformerClsHead', num_classes=classes, in_channels=dims),
    )
    patches = (tokens - 1) * dims * 3 * 8 * 8
    linear = tokens * (3 * dims * dims + dims * dims + 2 * dims * hidden)
    attention = 2 * tokens * tokens * dims
    # MMEngine counts 5 for each number that a layer norm takes: two in the layer and a last one.
    norms = 3 * 5 * tokens * dims
    found = costs(cfg)
    assert found['flops'] == patches + linear + attention + norms + dims * classes
    assert found['image_side'] == [24, 16]
    assert found['parameters'] == sum(
        parameter.numel() for parameter in MODELS.build(cfg.model.copy()).parameters()
    )
