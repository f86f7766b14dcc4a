"""Recipes of classifiers of two kinds, trained by MMPretrain's own tool on a dozen pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from pd_mmdet.testing.zoo.chain import run_python
from pd_mmdet.workbench.recipes import make
from pd_mmdet.workbench.recipes.make import make_recipe
from pd_mmdet.workbench.stages.recipe import read_stage
from pd_mmdet.workbench.stages.stage import ORDER, plan
from tests.helpers import ROOT

mmpretrain = pytest.importorskip('mmpretrain')
CONFIGS = ROOT / 'configs'
STOCK_TOOL = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
FILES = ['baseline.py', 'assistant.py', 'student.py']
MODELS_OF = {
    'cnn': """dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8, frozen_stages=1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
)""",
    'vit': """dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48),
        img_size=64,
        patch_size=16,
    ),
    head=dict(type='VisionTransformerClsHead', num_classes=3, in_channels=24),
)""",
}
# As MMPretrain's own configs are: the data preprocessor beside the model, hardly a type.
CONFIG = """
_base_ = 'mmpretrain::_base_/default_runtime.py'
model = {model}
data_preprocessor = dict(
    num_classes=3, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=72),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
dataset = dict(type='CustomDataset', data_root='{data}')
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(dataset, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=6,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy')
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(autouse=True)
def mmpretrain_scope(scope_and_seed):
    init_default_scope('mmpretrain')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('pictures')
    for number in range(12):
        file = root / f'class{number % 3}' / f'{number}.png'
        file.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (80, 100, 3), dtype=np.uint8)
        cv2.imwrite(str(file), noise)
    return root


@pytest.fixture
def configs(data: Path, tmp_path: Path) -> dict[str, str]:
    """The two plain configs, by the kind of their network."""
    for kind, model in MODELS_OF.items():
        (tmp_path / f'{kind}.py').write_text(CONFIG.format(model=model, data=data))
    return {kind: str(tmp_path / f'{kind}.py') for kind in MODELS_OF}


def changed(configs: dict[str, str], kind: str, text: str) -> str:
    file = Path(configs[kind]).with_name('changed.py')
    file.write_text(f'_base_ = {configs[kind]!r}\n{text}\n')
    return str(file)


def train(stage: str, recipe: Path, work_dir: Path) -> dict:
    """Train a stage by MMPretrain's tool; the last line of its log of training."""
    file = work_dir / f'{stage}.py'
    read_stage(recipe, stage).dump(file)
    run_python([STOCK_TOOL, file, '--work-dir', work_dir / stage])
    (log,) = (work_dir / stage).glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return next(line for line in reversed(lines) if 'loss' in line)


@pytest.mark.parametrize('teacher, student', [('cnn', 'vit'), ('vit', 'cnn')])
def test_stock_tool_trains_it(teacher, student, configs, tmp_path, monkeypatch):
    recipe = tmp_path / f'{teacher}_{student}'
    made = make_recipe(configs[student], configs[teacher], 2, recipe)
    assert made.files == FILES and made.left_out == {}

    monkeypatch.setenv('TEACHER_CHECKPOINT', str(tmp_path / 'teacher.pth'))
    monkeypatch.setenv('ASSISTANT_CHECKPOINT', str(tmp_path / 'assistant' / 'epoch_1.pth'))
    model = MODELS.build(Config.fromfile(configs[teacher]).model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'teacher.pth')

    log = train('assistant', recipe, tmp_path)
    assert log['step'] == 2 and log['distill_kd_loss'] > 0 and 'distill_isrd_loss' not in log
    log = train('student', recipe, tmp_path)
    assert log['step'] == 2 and log['distill_kd_loss'] > 0 and log['distill_isrd_loss'] > 0
    log = train('one_stage', recipe, tmp_path)
    assert log['step'] == 2 and log['distill_kd_loss'] > 0 and log['distill_isrd_loss'] > 0


def test_what_the_stages_say(configs, tmp_path):
    out = tmp_path / 'mine_k2'
    make_recipe(configs['cnn'], configs['vit'], 2, out)
    names = ('ceiling', 'baseline', 'assistant', 'student', 'one_stage')
    stages = {name: read_stage(out, name) for name in names}
    small, large = stages['baseline'].model, stages['ceiling'].model
    assert small.backbone.frozen_stages == -1 and large.backbone.frozen_stages == 1
    assert stages['assistant'].model.student == large
    assert stages['assistant'].model.view == 'hr'
    for name, teacher in (('student', 'cnn'), ('one_stage', 'vit')):
        model = stages[name].model
        assert model.student == small and model.student_weight == 0.1
        assert Path(model.teacher.cfg).resolve() == Path(configs[teacher])
        assert model.isrd == dict(weight=10.0)
    place = 'work_dirs/mine_k2/assistant/epoch_1.pth'
    assert stages['student'].load_from == stages['student'].model.teacher.checkpoint == place
    for name, cfg in stages.items():
        assert cfg.data_preprocessor == stages['ceiling'].data_preprocessor
        imports = ['pd_mmdet.classification'] * (name != 'ceiling')
        assert (cfg.get('custom_imports') or {}).get('imports', []) == imports
    stages = plan(out, tmp_path / 'work', ['ceiling', 'one_stage', 'baseline'])
    assert [stage.name for stage in stages] == [*ORDER]


def test_isrd_follows_the_division(configs, tmp_path):
    student = changed(configs, 'cnn', 'data_preprocessor = dict(mean=[0] * 3, std=[1] * 3)')
    for ratio in (2, 4):
        for name, wanted in ((configs['cnn'], 10.0), (student, 0.2)):
            out = tmp_path / f'{Path(name).stem}_{ratio}'
            make_recipe(name, configs['vit'], ratio, out)
            assert Config.fromfile(out / 'student.py').model.isrd == dict(weight=wanted)


def test_an_own_pipeline_without_a_variable(configs, tmp_path):
    """A pipeline that the plain config has in no variable is written out."""
    inline = 'train_dataloader = dict(dataset=dict(pipeline=[*_base_.train_pipeline[:2], '
    student = changed(configs, 'cnn', f"{inline}dict(type='PackInputs')]))")
    make_recipe(student, configs['vit'], 2, tmp_path / 'out')
    pipeline = Config.fromfile(tmp_path / 'out' / 'assistant.py').train_dataloader.dataset.pipeline
    names = ['LoadImageFromFile', 'RandomResizedCrop', 'LowResolution', 'PackInputs']
    assert [step.type for step in pipeline] == names and pipeline[2].views == ['hr']


def test_a_shipped_recipe_is_what_is_written(tmp_path, monkeypatch):
    for folder in ('_base_', 'resnet'):
        recipes = shutil.ignore_patterns('*_k2', '*_k4')
        shutil.copytree(CONFIGS / folder, tmp_path / folder, ignore=recipes)
    family, name = tmp_path / 'resnet', 'resnet_r50-r18_cub_k2'
    pair = family / 'resnet18_120e_cub.py', family / 'resnet50_120e_cub.py'
    monkeypatch.setattr(make, '_check', lambda *_: None)  # test_cls_configs_train.py builds them
    make_recipe(*map(str, pair), 2, family / name)
    written, shipped = (
        {file.name: file.read_text() for file in folder.glob('*.py')}
        for folder in (family / name, CONFIGS / 'resnet' / name)
    )
    assert written == shipped


@pytest.mark.parametrize(
    'kind, text, message',
    [
        (
            'cnn',
            'model = dict(head=dict(num_classes=4))',
            r'num_classes=\{4\}, .*num_classes=\{3\}',
        ),
        (
            'cnn',
            "crop = dict(type='CenterCrop', crop_size=63)\n"
            'pipeline = [*_base_.test_pipeline[:2], crop, _base_.test_pipeline[-1]]\n'
            'val_dataloader = dict(dataset=dict(pipeline=pipeline))',
            r'changed.py: pipeline: CenterCrop\(crop_size=63\): at ratio 2 .* multiples of 2',
        ),
        (
            'vit',
            'model = dict(backbone=dict(img_size=63))',
            'backbone.img_size=63 must be a multiple of 2',
        ),
        (
            'vit',
            'model = dict(backbone=dict(img_size=(64, 32)))',
            'distilled: backbone.pos_embed is a position embedding that cannot be resized',
        ),
        (
            'cnn',
            "model = dict(head=dict(_delete_=True, type='MultiLabelLinearClsHead', num_classes=3, "
            'in_channels=64))',
            'cannot be distilled: the student is a .*: its images have several labels',
        ),
        (
            'cnn',
            "model = dict(head=dict(type='LinearClsHeadd'))",
            'cannot be distilled: .*LinearClsHeadd is not in the mmpretrain::model registry',
        ),
    ],
)
def test_configs_of_which_no_recipe_can_be_made(kind, text, message, configs, tmp_path):
    student = changed(configs, kind, text)
    with pytest.raises(ValueError, match=message):
        make_recipe(student, configs['cnn'], 2, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_student_and_teacher_are_of_one_task(configs, tmp_path):
    detector = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
    with pytest.raises(ValueError, match='cnn.py is a classifier, mmdet::.* a detector'):
        make_recipe(configs['cnn'], detector, 2, tmp_path / 'out')


def test_names_of_the_classes_must_be_the_same(configs, tmp_path):
    imagenet, cub = (
        'mmpretrain::resnet/resnet18_8xb32_in1k.py',
        'mmpretrain::resnet/resnet50_8xb8_cub.py',
    )
    with pytest.raises(ValueError, match="has 1000, .* has 200, and number 1 is 'tench"):
        make_recipe(imagenet, cub, 2, tmp_path / 'out')
