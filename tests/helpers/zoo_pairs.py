"""Pairs of MMDetection's zoo for tests: slim networks, small images, glyphs as data.

What makes a pair what it is (wrappers of datasets, several pipelines, hooks) stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config

from pd_mmdet.workbench.configs import Place, replace
from pd_mmdet.workbench.deployed_data import deployed_pipeline

FPN = dict(
    backbone=dict(depth=18, stem_channels=8, base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
)
DENSE = dict(in_channels=16, feat_channels=16)
ROI = dict(
    bbox_roi_extractor=dict(out_channels=16),
    bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=10),
)
MASK = dict(
    mask_roi_extractor=dict(out_channels=16),
    mask_head=dict(in_channels=16, conv_out_channels=16, num_classes=10),
)
CSP = dict(
    backbone=dict(deepen_factor=0.167, widen_factor=0.125),
    neck=dict(in_channels=[32, 64, 128], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1, num_classes=10),
)
RESIZE = dict(
    type='BatchSyncRandomResize', random_size_range=(128, 192), size_divisor=32, interval=1
)
PAIRS = {
    'yolox': (
        'yolox/yolox_{}_8xb8-300e_coco.py',
        'tiny',
        's',
        dict(CSP, data_preprocessor=dict(batch_augments=[RESIZE])),
    ),
    'mask_rcnn': (
        'mask_rcnn/mask-rcnn_{}_fpn_1x_coco.py',
        'r50',
        'r101',
        dict(FPN, rpn_head=DENSE, roi_head=dict(ROI, **MASK)),
    ),
    'centernet': (
        'centernet/centernet_{}_8xb16-crop512-140e_coco.py',
        'r18',
        'r18',
        dict(
            backbone=FPN['backbone'],
            neck=dict(in_channels=64, num_deconv_filters=(16, 16, 16)),
            bbox_head=dict(in_channels=16, feat_channels=16, num_classes=10),
        ),
    ),
    'multi_scale': (
        'retinanet/retinanet_{}_fpn_ms-640-800-3x_coco.py',
        'r50',
        'r101',
        dict(FPN, bbox_head=dict(DENSE, stacked_convs=1, num_classes=10)),
    ),
}


def with_masks(glyphs: Path) -> Path:
    """Glyphs with masks: the objects' boxes."""
    for file in (glyphs / 'annotations').glob('*.json'):
        content = json.loads(file.read_text())
        for ann in content['annotations']:
            x, y, w, h = ann['bbox']
            ann['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        (glyphs / f'masks_{file.name}').write_text(json.dumps(content))
    return glyphs


def on_glyphs(cfg: dict, data: Path, split: str) -> dict:
    """A dataloader's config with every dataset replaced by two images of glyphs."""
    annotations = data / f'masks_{split}.json'
    classes = [one['name'] for one in json.loads(annotations.read_text())['categories']]

    def replaced(_: Place, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value.get('type') in ('CocoDataset', 'VOCDataset'):
            return dict(
                type='CocoDataset',
                ann_file=str(annotations),
                data_prefix=dict(img=str(data / split)),
                metainfo=dict(classes=classes),
                test_mode=split == 'val',
                indices=2,
                pipeline=value['pipeline'],
            )
        return value | (dict(times=1) if 'times' in value else {})

    return replace(cfg, replaced)


def without_weights(_: Place, value: Any) -> Any:
    """A part of a model's config that loads no weights, with norms that run on a CPU."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if key != 'init_cfg'}
    return 'BN' if value == 'SyncBN' else value


def tiny(name: str, slim: dict, data: Path) -> Config:
    """A config of the zoo, for images a quarter as large, that trains for two short epochs."""
    cfg = get_config(f'mmdet::{name}')
    cfg.merge_from_dict(dict(model=slim))
    said = cfg.to_dict()
    said['model'] = replace(said['model'], without_weights)
    for key in said:
        if key.endswith('_dataloader') or 'pipeline' in key or key == 'custom_hooks':
            said[key] = deployed_pipeline([said[key]], 4)[0]
    for split in ('train', 'val', 'test'):
        loader = on_glyphs(said[f'{split}_dataloader'], data, split.replace('test', 'val'))
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        said[f'{split}_dataloader'] = loader
    for evaluator in ('val_evaluator', 'test_evaluator'):
        said[evaluator] = dict(type='CocoMetric', ann_file=str(data / 'masks_val.json'))
    said['train_cfg'] = dict(type='EpochBasedTrainLoop', max_epochs=2, val_begin=3)
    # The second pipeline, and the mode without mosaic, come in the second epoch.
    for hook in said.get('custom_hooks', ()):
        hook.update({k: v for k, v in dict(switch_epoch=1, num_last_epochs=0).items() if k in hook})
    return Config(said)
