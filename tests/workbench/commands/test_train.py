import json
import pickle
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from tests.helpers.commands import run_here
from tests.helpers.hostile import Touch

CONFIG = """
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', 'mmdet::_base_/default_runtime.py']
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=8),
    bbox_head=dict(in_channels=8, feat_channels=8, stacked_convs=1, num_classes=2))
dataset = dict(
    type='CocoDataset',
    data_root='{root}',
    metainfo=dict(classes=('a', 'b')),
    ann_file='all.json',
    data_prefix=dict(img='images'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor')),
    ])
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dataset)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='RepeatDataset', times=1, dataset=dict(test_mode=True, **dataset)))
test_evaluator = dict(type='CocoMetric', ann_file='{root}/all.json')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.001))
auto_scale_lr = dict(base_batch_size=4)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Four images, their annotations and a config."""
    root = tmp_path_factory.mktemp('tools')
    (root / 'images').mkdir()
    noise = np.random.default_rng(0)
    for index in range(4):
        image = noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'images/{index}.png'), image)
    box = dict(bbox=[8, 8, 32, 32], area=32 * 32, iscrowd=0)
    content = dict(
        images=[dict(id=i, file_name=f'{i}.png', width=64, height=64) for i in range(4)],
        annotations=[dict(id=i + 1, image_id=i, category_id=i % 2, **box) for i in range(4)],
        categories=[dict(id=0, name='a'), dict(id=1, name='b')],
    )
    (root / 'all.json').write_text(json.dumps(content))
    (root / 'config.py').write_text(CONFIG.replace('{root}', str(root)))
    return root


def run(tool: str, folder: Path, *args: object) -> CompletedProcess:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run_here(ROOT / 'tools' / tool, 'config.py', *args)


@pytest.fixture(scope='module')
def trained(folder: Path) -> Path:
    result = run('train.py', folder, '--auto-scale-lr', '--cfg-options', 'randomness.seed=3')
    assert result.returncode == 0, result.stderr
    assert 'LR is set based on batch size of 4 and the current batch size is 2' in (
        result.stdout + result.stderr
    )
    return folder / 'work_dirs' / 'config'


def test_train_and_resume(folder, trained):
    assert (trained / 'epoch_1.pth').exists()
    result = run('train.py', folder, '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    assert result.returncode == 0, result.stderr
    assert 'resumed epoch: 1, iter: 2' in result.stdout + result.stderr
    assert (trained / 'epoch_2.pth').exists()


@pytest.mark.parametrize('tta', [[], ['--tta']])
def test_test(folder, trained, tmp_path, tta):
    out = tmp_path / 'predictions.pkl'
    result = run('test.py', folder, trained / 'epoch_1.pth', '--out', out, *tta)
    assert result.returncode == 0, result.stderr
    predictions = pickle.loads(out.read_bytes())
    assert [prediction['img_id'] for prediction in predictions] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    'tool, options', [('train.py', ['--resume', 'hostile.pth']), ('test.py', ['hostile.pth'])]
)
def test_a_hostile_checkpoint_stops_the_tools(folder, tool, options):
    trace = folder / 'trace'
    torch.save(dict(state_dict={}, meta=Touch(trace)), folder / 'hostile.pth')
    result = run(tool, folder, *options)
    assert result.returncode != 0 and not trace.exists()
    assert 'hostile.pth is not a checkpoint of plain data: to load it, io.open' in result.stderr
    assert 'Epoch(' not in result.stdout + result.stderr
