"""Distillers of images of other than three channels or 8 bits, from files to predictions."""

import json
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner

from pd_mmdet.hooks.isrd_visualization_hook import rebuild
from tests.helpers.tiny import BOX, CLS, PKD, build, distiller, retinanet, save

CLASSES = ('a', 'b', 'c')
TERMS = dict(pkd=PKD, cls=CLS, box=BOX)
ISRD = dict(weight=0.1)


class Kind(NamedTuple):
    """A kind of image: what `LoadImageFromFile` is told, and what it yields."""

    color_type: str
    shape: tuple
    dtype: type


THERMAL = Kind('grayscale', (64, 96), np.uint8)
DEEP = Kind('unchanged', (64, 96), np.uint16)
INFRARED = Kind('unchanged', (64, 96, 4), np.uint8)


def detector(channels, levels=256):
    cfg = retinanet(classes=len(CLASSES))
    cfg.backbone.in_channels = channels
    cfg.test_cfg.update(score_thr=0.0, nms_pre=10, max_per_img=5)
    cfg.data_preprocessor.update(mean=[levels / 2], std=[levels / 4], bgr_to_rgb=False)
    return cfg


@pytest.fixture
def make_runner(tmp_path):
    """Build runners for two steps and a validation on three files of a kind."""
    boxes = [dict(bbox=[8, 8, 24, 24], area=576, iscrowd=0, category_id=1 + i) for i in range(3)]
    coco = dict(
        images=[dict(id=i, file_name=f'{i}.png', height=64, width=96) for i in range(3)],
        annotations=[dict(box, id=i + 1, image_id=i) for i, box in enumerate(boxes)],
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
    )
    (tmp_path / 'coco.json').write_text(json.dumps(coco))

    def loader(kind, views, test_mode):
        pipeline = [
            dict(type='LoadImageFromFile', color_type=kind.color_type),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(96, 64), keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='LowResolution', ratio=2, views=views, degradation=dict(noise=2.0)),
            dict(type='PackPairedDetInputs'),
        ]
        return dict(
            batch_size=1 if test_mode else 2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=not test_mode),
            dataset=dict(
                type='CocoDataset',
                data_root=str(tmp_path),
                ann_file='coco.json',
                data_prefix=dict(img=''),
                metainfo=dict(classes=CLASSES),
                pipeline=pipeline,
                test_mode=test_mode,
            ),
        )

    def make(name, kind, model, views, test_views):
        random = np.random.default_rng(0)
        for i in range(3):
            img = random.integers(0, np.iinfo(kind.dtype).max, kind.shape).astype(kind.dtype)
            cv2.imwrite(str(tmp_path / f'{i}.png'), img)
        return Runner(
            model,
            str(tmp_path / name),
            train_dataloader=loader(kind, views, False),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
            val_dataloader=loader(kind, test_views, True),
            val_cfg=dict(),
            val_evaluator=dict(type='CocoMetric', ann_file=str(tmp_path / 'coco.json')),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
            ),
            custom_hooks=[dict(type='TeacherHook'), dict(type='ISRDVisualizationHook')],
            default_scope='mmdet',
            experiment_name=f'{tmp_path.name}_{name}',
        )

    return make


def trained(runner):
    """The checkpoint of a training whose losses and predictions are numbers."""
    runner.train()
    scalars = runner.message_hub.log_scalars
    losses = [name for name in scalars if 'loss' in name]
    assert {'train/loss', *(f'train/distill_{name}_loss' for name in TERMS)} <= set(losses)
    assert all(np.isfinite(scalars[name].data[0]).all() for name in losses)
    runner.model.eval()
    with torch.no_grad():
        (found,) = runner.model.val_step(next(iter(runner.val_dataloader)))
    assert len(found.pred_instances) and found.pred_instances.bboxes.isfinite().all()
    return f'{runner.work_dir}/iter_2.pth'


@pytest.mark.parametrize(('kind', 'channels'), [(THERMAL, 1), (DEEP, 1), (INFRARED, 4)])
def test_both_stages_from_files(make_runner, tmp_path, kind, channels):
    plain = detector(channels, np.iinfo(kind.dtype).max + 1)
    assistant = ConfigDict(type='AFPDetector', detector=plain, ratio=2)
    teacher = dict(cfg=plain, checkpoint=save(plain, tmp_path / 'teacher.pth'))

    first = distiller(assistant, teacher=teacher, view='hr', terms=TERMS)
    checkpoint = trained(make_runner('first', kind, first, ['hr'], ['hr']))

    teacher = dict(cfg=assistant, checkpoint=checkpoint)
    second = distiller(plain, teacher=teacher, terms=TERMS, isrd=ISRD)
    runner = make_runner('second', kind, second, ['hr', 'lr'], ['lr'])
    trained(runner)
    assert np.isfinite(runner.message_hub.get_scalar('train/distill_isrd_loss').data[0]).all()

    inputs = next(iter(runner.train_dataloader))['inputs']
    assert {str(img.dtype) for img in inputs['hr']} == {f'torch.{np.dtype(kind.dtype)}'}
    assert rebuild(runner.model, inputs).shape == (2, channels, 64, 128)
    pictures = [cv2.imread(str(file)) for file in (tmp_path / 'second').rglob('isrd_*.png')]
    assert {picture.shape for picture in pictures} == {(64, 3 * 96, 3)} and len(pictures) == 4
    grey = all((picture == picture[..., :1]).all() for picture in pictures)
    assert grey == (channels == 1)


def test_a_teacher_of_other_channels_is_refused(tmp_path):
    with pytest.raises(ValueError, match='student reads images of 1 channels, the teacher of 4'):
        build(distiller(detector(1), teacher=dict(cfg=detector(4)), terms=dict(pkd=PKD)))
    # It is not read where no term compares.
    assert build(distiller(detector(1), teacher=dict(cfg=detector(4)), isrd=ISRD))
