"""Check that an exported classifier is in stock MMPretrain what the distiller was."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from pd_mmdet.checkpoint import load_data
from pd_mmdet.transforms import LowResolution
from pd_mmdet.workbench.export import export_student
from pd_mmdet.workbench.recipes.make import make_recipe
from tests.helpers import ROOT
from tests.helpers.stock import run_stock

mmpretrain = pytest.importorskip('mmpretrain')
STOCK_TEST = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'test.py'
VIT = """
_base_ = [
    '{configs}/_base_/schedules/schedule_90e_cls.py',
    '{configs}/_base_/cls_runtime.py',
]
slim = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', arch=slim, img_size=64, patch_size=16),
    head=dict(type='VisionTransformerClsHead', num_classes=6, in_channels=24),
)
data_preprocessor = dict(
    num_classes=6, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=72, edge='short'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
dataset = dict(type='CustomDataset', data_root='{data}')
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(dataset, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
"""
INFER = """
import json, sys
from mmpretrain import ImageClassificationInferencer, get_model
try:
    import pd_mmdet
    sys.exit('the package can be imported')
except ImportError:
    pass
config, weights, out, *images = sys.argv[1:]
inferencer = ImageClassificationInferencer(config, pretrained=weights, device='cpu')
scores = [found['pred_scores'].tolist() for found in inferencer(images)]
model = get_model(config, pretrained=weights)
found = dict(scores=scores, classes=inferencer.classes, kind=type(model).__name__)
json.dump(found, open(out, 'w'))
"""


@pytest.fixture(autouse=True)
def mmpretrain_scope(scope_and_seed):
    init_default_scope('mmpretrain')


@pytest.fixture(scope='module')
def large(tmp_path_factory) -> Path:
    """Pictures of six classes, larger than what a classifier reads; the small ones are of 36."""
    root = tmp_path_factory.mktemp('large')
    for label in range(6):
        (root / f'class{label}').mkdir()
        noise = np.random.default_rng(label).integers(0, 255, (9, 9, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'class{label}' / '0.png'), cv2.resize(noise, (72, 72)))
    return root


@pytest.fixture(scope='module')
def small(large, tmp_path_factory) -> Path:
    """The same as files that are really small."""
    root = tmp_path_factory.mktemp('small')
    for file in sorted(large.glob('*/*')):
        views = LowResolution(2, views=['lr'])(dict(img=cv2.imread(str(file))))
        (root / file.parent.name).mkdir()
        cv2.imwrite(str(root / file.parent.name / file.name), views['img'])
    return root


@pytest.fixture(scope='module')
def recipe(large, tmp_path_factory) -> Path:
    """A recipe of a slim vision transformer that learns from itself."""
    folder = tmp_path_factory.mktemp('recipe')
    (folder / 'vit.py').write_text(VIT.format(configs=ROOT / 'configs', data=large))
    make_recipe(str(folder / 'vit.py'), str(folder / 'vit.py'), 2, folder / 'vit_k2')
    return folder / 'vit_k2'


def save(config: Path, file: Path) -> tuple[nn.Module, Path]:
    """A distiller with weights that are sure of something, and its checkpoint."""
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=tuple('abcdef')))
    torch.save(dict(meta=meta, state_dict=model.state_dict(), optimizer={}), file)
    return model.eval(), file


@torch.no_grad()
def scores(model: nn.Module, files: list[Path], shape: tuple[int, int]) -> torch.Tensor:
    """Return the scores of files, cropped in the middle to what a distiller reads."""
    found = []
    for file in files:
        img = cv2.imread(str(file))
        top, left = ((own - read) // 2 for own, read in zip(img.shape, shape))
        crop = img[top : top + shape[0], left : left + shape[1]]
        sample = mmpretrain.structures.DataSample()
        inputs = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)
        (said,) = model.test_step(pseudo_collate([dict(inputs=inputs, data_samples=sample)]))
        found.append(said.pred_score)
    return torch.stack(found)


# Invariant 6


def test_stock_mmpretrain_says_what_the_student_says(recipe, large, small, tmp_path):
    model, checkpoint = save(recipe / 'student.py', tmp_path / 'epoch_1.pth')
    files = export_student(recipe / 'student.py', checkpoint, tmp_path / 'out')
    images = sorted(small.glob('*/*'))
    expected = scores(model, images, (32, 32))
    assert expected.std(0).min() > 0.001  # they differ between the images

    (tmp_path / 'infer.py').write_text(INFER)
    infer = ['infer.py', *files, tmp_path / 'found.json', *images]
    data = f'test_dataloader.dataset.data_root={small}'
    out = ['--work-dir', tmp_path, '--out', tmp_path / 'found.pkl', '--out-item', 'pred']
    test = [STOCK_TEST, *files, *out, '--cfg-options', data]
    assert 'accuracy/top1' in run_stock(infer, test, cwd=tmp_path)
    found = json.loads((tmp_path / 'found.json').read_text())
    assert torch.equal(torch.tensor(found['scores']), expected)
    assert found['classes'] == list('abcdef') and found['kind'] == 'ImageClassifier'

    samples = pickle.loads((tmp_path / 'found.pkl').read_bytes())
    assert torch.equal(torch.stack([sample['pred_score'] for sample in samples]), expected)


def test_an_assistant_is_plain_too(recipe, large, tmp_path):
    model, checkpoint = save(recipe / 'assistant.py', tmp_path / 'epoch_1.pth')
    files = export_student(recipe / 'assistant.py', checkpoint, tmp_path / 'out')
    assert files[0].read_text().startswith('# A distilled assistant, plain MMPretrain: it reads')
    images = sorted(large.glob('*/*'))
    inferencer = mmpretrain.ImageClassificationInferencer(str(files[0]), pretrained=str(files[1]))
    found = torch.tensor(
        np.stack([said['pred_scores'] for said in inferencer(list(map(str, images)))])
    )
    assert torch.equal(found, scores(model, images, (64, 64)))
    assert 'pd_mmdet' not in files[0].read_text()


def test_the_config_is_plain(recipe, tmp_path):
    _, checkpoint = save(recipe / 'student.py', tmp_path / 'epoch_1.pth')
    files = export_student(recipe / 'student.py', checkpoint, tmp_path / 'out')
    text = files[0].read_text()
    for word in ('pd_mmdet', '_base_ =', 'Distill', 'LowResolution', 'Paired', 'train_dataloader'):
        assert word not in text.replace('# ', ''), word
    cfg = Config.fromfile(files[0])
    assert cfg.model.backbone.img_size == 32
    assert [
        step.get('scale') or step.get('crop_size') for step in cfg.test_dataloader.dataset.pipeline
    ] == [None, 36, 32, None]
    weights = load_data(files[1])['state_dict']
    assert not any(name.startswith('distill.') for name in weights)


def test_checkpoints_of_another_kind_are_refused(recipe, tmp_path):
    _, plain = save(recipe / 'baseline.py', tmp_path / 'plain.pth')
    with pytest.raises(
        ValueError, match='model.type is ImageClassifier, not PixelDistillClassifier'
    ):
        export_student(recipe / 'baseline.py', plain, tmp_path / 'out')
    _, assistant = save(recipe / 'assistant.py', tmp_path / 'assistant.pth')
    with pytest.raises(ValueError, match="was trained on the view 'hr', but .* reads 'lr'"):
        export_student(recipe / 'student.py', assistant, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_what_only_this_package_has_is_refused(recipe, tmp_path):
    config = tmp_path / 'student.py'
    config.write_text(
        f"_base_ = '{recipe}/student.py'\n"
        "pipeline = [dict(type='LoadImageFromFile'), dict(type='PackPairedInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    _, checkpoint = save(config, tmp_path / 'student.pth')
    with pytest.raises(ValueError, match='PackPairedInputs is part of pd_mmdet, so a plain MMPre'):
        export_student(config, checkpoint, tmp_path / 'out')
