"""Classifiers small enough to train in a test, and batches for them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor, nn

import pd_mmdet.classification  # noqa: F401

CLASSES = 5
NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
KD = dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=0.9)


def cnn(base: int = 8, classes: int = CLASSES, depth: int = 18) -> dict:
    """A slim ResNet: strides 4, 8, 16 and 32, its last map has 8 * base channels."""
    return dict(
        type='ImageClassifier',
        data_preprocessor=dict(num_classes=classes, **NORM),
        backbone=dict(type='ResNet', depth=depth, stem_channels=base, base_channels=base),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=classes,
            in_channels=8 * base,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


def vit(side: int = 64, dims: int = 16, classes: int = CLASSES) -> dict:
    """A slim vision transformer with patches of 16 pixels."""
    arch = dict(embed_dims=dims, num_layers=2, num_heads=2, feedforward_channels=2 * dims)
    return dict(
        type='ImageClassifier',
        data_preprocessor=dict(num_classes=classes, **NORM),
        backbone=dict(type='VisionTransformer', arch=arch, img_size=side, patch_size=16),
        head=dict(
            type='VisionTransformerClsHead',
            num_classes=classes,
            in_channels=dims,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


def distiller(student: dict, ratio: int | str = 2, **options: object) -> dict:
    return dict(type='PixelDistillClassifier', student=student, ratio=ratio, **options)


def build(cfg: dict, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    np.random.seed(seed)
    return MODELS.build(deepcopy(cfg))


def save(cfg: dict, path: Path, seed: int = 1) -> str:
    """The checkpoint of a freshly built model, as MMEngine writes it."""
    torch.save(dict(meta={}, state_dict=build(cfg, seed).state_dict()), path)
    return str(path)


def batch(
    ratio: int | str = 2,
    views: tuple[str, ...] = ('hr', 'lr'),
    side: int = 128,
    seed: int = 0,
    number: int = 4,
    classes: int = CLASSES,
    channels: int = 3,
    enlarge: int | str = 1,
) -> dict:
    """Images of noise, as a dataloader hands them over."""
    random = np.random.default_rng(seed)
    low = TRANSFORMS.build(dict(type='LowResolution', ratio=ratio, views=views, enlarge=enlarge))
    pack = TRANSFORMS.build(dict(type='PackPairedInputs'))
    images = random.integers(0, 255, (number, side, side, channels), dtype=np.uint8)
    items = [
        pack(low(dict(img=image, img_path=f'{index}.png', gt_label=int(label))))
        for index, (image, label) in enumerate(zip(images, random.integers(0, classes, number)))
    ]
    return default_collate(items)


def train(model: nn.Module, batches: list[dict]) -> list[dict[str, Tensor]]:
    """One step of AdamW a batch; what each would have logged."""
    model.train()
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    return [model.train_step(data, wrapper) for data in batches]


def forward(model: nn.Module, data: dict) -> dict[str, Tensor]:
    """The losses of a batch."""
    return model(**model.data_preprocessor(data, True), mode='loss')
