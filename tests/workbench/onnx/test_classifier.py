"""Check that a classifier's ONNX file says what MMPretrain's own ``predict`` says."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from pd_mmdet.workbench.onnx.served import check_classifier
from tests.helpers import ROOT
from tests.helpers.commands import run_here

pytest.importorskip('mmpretrain')
CONFIG = """
_base_ = [
    '{configs}/_base_/schedules/schedule_90e_cls.py',
    '{configs}/_base_/cls_runtime.py',
]
model = {model}
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='LowResolution', ratio=2, views=['lr']),
    dict(type='PackInputs'),
]
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root='{data}', pipeline=pipeline),
)
train_dataloader = val_dataloader
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='Accuracy', topk=1), dict(type='SingleLabelMetric', items=('recall',))
]
test_evaluator = val_evaluator
"""


@pytest.fixture(autouse=True)
def mmpretrain_scope(scope_and_seed):
    init_default_scope('mmpretrain')


@pytest.fixture(params=['cnn', 'vit'])
def files(request, tmp_path):
    """The config and the checkpoint of a slim network, on pictures of five classes."""
    from tests.helpers import tiny_cls

    cfg = tiny_cls.cnn() if request.param == 'cnn' else tiny_cls.vit(side=32)
    for label in range(5):
        (tmp_path / 'data' / f'class{label}').mkdir(parents=True)
        noise = np.random.default_rng(label).integers(0, 255, (9, 9, 3), dtype=np.uint8)
        picture = cv2.resize(noise, (72, 72))
        cv2.imwrite(str(tmp_path / 'data' / f'class{label}' / '0.png'), picture)
    text = CONFIG.format(configs=ROOT / 'configs', model=cfg, data=tmp_path / 'data')
    (tmp_path / 'student.py').write_text(text)
    model = tiny_cls.build(cfg)
    last = model.head.fc if request.param == 'cnn' else model.head.layers.head
    torch.nn.init.normal_(last.weight)
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'student.pth')
    return tmp_path / 'student.py', tmp_path / 'student.pth'


def test_a_file_says_what_the_classifier_says(files, tmp_path):
    out = tmp_path / 'student.onnx'
    options = ['--fixed-size', '--grey', '--int8', '--max-drop', 100, '--images', 3]
    done = run_here(ROOT / 'tools' / 'export_onnx.py', *files, out, *options)
    assert done.returncode == 0, done.stderr
    assert '3 images, 15 results' in done.stdout
    assert 'Eight bits: top-1' in done.stdout and 'in float: model.backbone.' in done.stdout
    assert f'Written: {tmp_path / "student.int8.onnx"}' in done.stdout
    work_dir = tmp_path / 'test'
    done = run_here(ROOT / 'tools' / 'test.py', files[0], out, '--work-dir', work_dir)
    assert done.returncode == 0 and 'accuracy/top1' in done.stdout + done.stderr


def test_a_head_of_several_labels_is_refused():
    from tests.helpers.tiny_cls import build, cnn

    cfg = cnn()
    cfg['head'] = dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=64)
    with pytest.raises(NotImplementedError, match='its head is a MultiLabelLinearClsHead'):
        check_classifier(build(cfg))
