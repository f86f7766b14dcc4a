"""RetinaNets small enough to train in a test, and batches for them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

import pd_mmdet  # noqa: F401
from pd_mmdet.distillers.terms.base import StepOutputs
from pd_mmdet.transforms import LowResolution, PackPairedDetInputs

register_all_modules()
STOCK = Path(mmdet.__file__).parent / '.mim' / 'configs' / '_base_' / 'models'
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)
PKD = dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0)
HEADS = dict(student='bbox_head', teacher='bbox_head', weight=1.0)
CLS = dict(HEADS, loss=dict(type='DenseHeadClsLoss'))
BOX = dict(HEADS, loss=dict(type='DenseHeadBoxLoss'))


def retinanet(first: int = 4, channels: int = 8, classes: int = 3) -> ConfigDict:
    """A RetinaNet with three levels, the first of stride ``first`` (4 or 8)."""
    cfg = Config.fromfile(STOCK / 'retinanet_r50_fpn.py').model
    cfg.backbone.update(
        depth=18,
        stem_channels=8,
        base_channels=8,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    )
    cfg.neck.update(
        in_channels=[8, 16, 32],
        out_channels=channels,
        start_level={4: 0, 8: 1}[first],
        add_extra_convs=False,
        num_outs=3,
    )
    cfg.bbox_head.update(
        in_channels=channels, feat_channels=channels, stacked_convs=1, num_classes=classes
    )
    cfg.bbox_head.anchor_generator.update(
        octave_base_scale=2, scales_per_octave=1, strides=[first, 2 * first, 4 * first]
    )
    return cfg


def distiller(student: dict | None = None, ratio: int | str = 2, **options: object) -> ConfigDict:
    """A distiller of a RetinaNet with the strides 4, 8 and 16."""
    student = student or retinanet()
    return ConfigDict(type='AFPDistiller', student=student, ratio=ratio, **options)


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
    seed: int = 0,
    classes: int = 3,
    masks: bool = False,
    enlarge: int | str = 1,
) -> dict:
    """Two images of noise and boxes, as a dataloader hands them over; one of them is smaller.

    With ``masks`` each box is its instance's mask, too, and its class is that of its pixels.
    """
    random = np.random.default_rng(seed)
    items = []
    for index, (height, width) in enumerate([(64, 128), (56, 96)]):
        corners = random.uniform(0, 40, (3, 2))
        boxes = np.concatenate([corners, corners + random.uniform(12, 24, (3, 2))], axis=1)
        results = dict(
            img=random.integers(0, 255, (height, width, 3), dtype=np.uint8),
            img_id=index,
            img_path=f'{index}.png',
            img_shape=(height, width),
            ori_shape=(height, width),
            gt_bboxes=HorizontalBoxes(boxes.astype(np.float32)),
            gt_bboxes_labels=random.integers(0, classes, 3),
            gt_ignore_flags=np.zeros(3, dtype=bool),
        )
        if masks:
            results |= _masks(boxes.round().astype(int), results)
        items.append(PackPairedDetInputs()(LowResolution(ratio, views, enlarge=enlarge)(results)))
    return pseudo_collate(items)


def _masks(boxes: np.ndarray, results: dict) -> dict:
    shape = results['img_shape']
    maps = np.zeros((len(boxes), *shape), dtype=np.uint8)
    semantic = np.zeros(shape, dtype=np.uint8)
    for one, (left, top, right, bottom), label in zip(maps, boxes, results['gt_bboxes_labels']):
        one[top:bottom, left:right] = 1
        semantic[one > 0] = label
    return dict(gt_masks=BitmapMasks(maps, *shape), gt_seg_map=semantic)


def train(model: nn.Module, batches: list[dict]) -> list[dict[str, Tensor]]:
    """One step of AdamW a batch; what each would have logged."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    optim_wrapper = OptimWrapper(optimiser, clip_grad=dict(max_norm=10))
    return [model.train_step(data, optim_wrapper) for data in batches]


def forward(model: nn.Module, data: dict) -> dict[str, Tensor]:
    """The losses of a batch."""
    return model(**model.data_preprocessor(data, True), mode='loss')


def of_heads(student: Any, teacher: Any) -> StepOutputs:
    """Make what a term is given where the dense heads of both networks put these out."""
    return StepOutputs(dict(bbox_head=student), dict(bbox_head=teacher), None, [])
