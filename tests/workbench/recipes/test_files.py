"""The configs of a recipe are read back, and compared with those that they inherit."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hub import get_config

from pd_mmdet.workbench.load_config import OPTIONS
from pd_mmdet.workbench.recipes import files
from pd_mmdet.workbench.recipes.choose_terms import Choice
from pd_mmdet.workbench.recipes.files import Source
from pd_mmdet.workbench.recipes.make import Recipe
from pd_mmdet.workbench.recipes.plain_config import read
from pd_mmdet.workbench.stages.recipe import read_stage

PKD = dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0)
CHOICE = Choice(dict(pkd=PKD), dict(weight=0.5))
VIEWS = dict(assistant=['hr'], student=None, one_stage=None, baseline=['lr'])
ZOO = [
    'yolox/yolox_tiny_8xb8-300e_coco.py',
    'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py',
    'pascal_voc/retinanet_r50_fpn_1x_voc0712.py',
    'pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py',
    'faster_rcnn/faster-rcnn_r50_fpn_ms-3x_coco.py',
    'lvis/mask-rcnn_r50_fpn_sample1e-3_ms-2x_lvis-v0.5.py',
]
OURS = [
    dict(type='TeacherHook'),
    dict(type='PriorCoverageHook'),
    dict(type='ISRDVisualizationHook'),
]

CUSTOM = """
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
data_preprocessor = {{_base_.model.data_preprocessor}}
model = {key: value for key, value in _base_.model.items() if key != 'data_preprocessor'}
model = dict(model, _delete_=True, bbox_head=dict(model['bbox_head'], num_classes=2))
data_root = '{{$MY_DATA:data/mine}}/'
mine = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(640, 480)),
    dict(type='PackDetInputs'),
]
flipped = [*mine[:-1], dict(type='RandomFlip', prob=0.5), mine[-1]]
first, second = (
    dict(
        type='CocoDataset',
        metainfo=dict(classes=('cat', 'dog')),
        ann_file=data_root + name + '.json',
        data_prefix=dict(img=data_root + name),
        pipeline=pipeline,
    )
    for name, pipeline in (('first', mine), ('second', flipped))
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(type='RepeatDataset', times=2, dataset=first),
            dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=second),
        ],
    )
)
val_dataloader = dict(dataset=dict(_delete_=True, **first))
test_dataloader = dict(dataset=dict(_delete_=True, **second))
custom_imports = dict(imports=['json'])
custom_hooks = [dict(type='NumClassCheckHook')]
"""


def write(source: Source, folder: Path) -> dict[str, Config]:
    """All files of a recipe, read back."""
    folder.mkdir(exist_ok=True)
    recipe = Recipe(folder, source)
    recipe.write('baseline', files.baseline(source))
    recipe.write('assistant', files.assistant(source, CHOICE))
    recipe.write('student', files.student(source, CHOICE))
    recipe.write('one_stage', files.one_stage(source, CHOICE))
    return read_all(folder)


def read_all(folder: Path) -> dict[str, Config]:
    return {file.stem: Config.fromfile(file) for file in folder.glob('*.py')}


def source_of(name: str, folder: Path, ratio: Fraction = Fraction(2)) -> Source:
    plain_config = read(name, 'ceiling', folder)
    return Source(plain_config, plain_config, ratio, folder.name)


def plain(value: Any) -> Any:
    """A part of a config without views, as it would be on one image, and without scopes."""
    if isinstance(value, dict):
        value = {key: plain(inner) for key, inner in value.items() if key != '_scope_'}
        if value.get('type') == 'PackPairedDetInputs':
            value['type'] = 'PackDetInputs'
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(plain(inner) for inner in value if not is_views(inner))
    return value


def is_views(value: Any) -> bool:
    if isinstance(value, list):  # of TestTimeAug
        return len(value) == 1 and is_views(value[0])
    return isinstance(value, dict) and value.get('type') == 'LowResolution'


def without_annotations(value: Any) -> Any:
    """A part of a config whose pipelines load no annotations."""
    if isinstance(value, dict):
        return {key: without_annotations(inner) for key, inner in value.items()}
    if isinstance(value, list):
        kept = [inner for inner in value if 'LoadAnnotations' not in str(inner)]
        return [without_annotations(inner) for inner in (kept or value)]
    return value


def packed(value: Any, before: Any = None) -> Iterator[tuple[dict, Any]]:
    """Every packing transform, and the transform before it."""
    if isinstance(value, list):
        for last, inner in zip([before, *value], value):
            yield from packed(inner, last)
    elif isinstance(value, dict):
        if value.get('type') in ('PackDetInputs', 'PackPairedDetInputs'):
            yield value, before[0] if isinstance(before, list) else before
        for inner in value.values():
            yield from packed(inner)


@pytest.fixture(scope='module', params=ZOO)
def zoo(request, tmp_path_factory) -> tuple[Config, Path, dict[str, Config]]:
    """A config of the zoo, the folder of its recipe with itself, and the recipe's configs."""
    name, folder = f'mmdet::{request.param}', tmp_path_factory.mktemp('zoo')
    return get_config(name), folder, write(source_of(name, folder), folder)


def test_the_given_config_is_kept(zoo):
    stock, _, stages = zoo
    changed = {'model', 'load_from', 'custom_imports', 'custom_hooks', 'work_dir'}
    for stage, cfg in stages.items():
        for key in OPTIONS & stock.keys() - changed:
            assert plain(cfg[key]) == plain(stock[key]), (stage, key)
        assert plain(cfg.custom_hooks) == [*plain(stock.get('custom_hooks', [])), *OURS]
        assert cfg.custom_imports.imports == ['pd_mmdet']


def test_views_are_made_directly_before_packing(zoo):
    _, _, stages = zoo
    for stage, views in VIEWS.items():
        cfg = stages[stage]
        training = [*packed(cfg.train_dataloader), *packed(cfg.custom_hooks)]
        assert training
        for pack, before in training:
            assert before['type'] == 'LowResolution' and before['ratio'] == 2
            assert before.get('views') == views
            assert pack['type'] == ('PackDetInputs' if views else 'PackPairedDetInputs')
        for loader in (cfg.val_dataloader, cfg.test_dataloader, cfg.get('tta_pipeline')):
            for pack, before in packed(without_annotations(loader)):
                assert before['type'] == 'LowResolution' and before['ratio'] == 2
                assert before['views'] == (views or ['lr'])
                assert pack['type'] == 'PackDetInputs' and 'scale_factor' in pack['meta_keys']


def test_teacher_and_ceiling_are_the_given_config(zoo):
    stock, folder, _ = zoo
    for stage in ('teacher', 'ceiling'):
        assert read_stage(folder, stage).to_dict() == stock.to_dict()


def test_files_are_short(zoo):
    _, folder, _ = zoo
    for file in folder.glob('*.py'):
        lines = file.read_text().splitlines()
        assert len(lines) < 85 and lines[0].startswith('# '), file
        assert any(line.startswith(("_base_ = './", "_base_ = 'mmdet::")) for line in lines)


def test_models_of_the_stages(tmp_path):
    stages = write(source_of(f'mmdet::{ZOO[4]}', tmp_path), tmp_path)
    own = stages['baseline'].model
    assert own.backbone.frozen_stages == -1
    assert own.bbox_head.anchor_generator.octave_base_scale == 2
    assert read_stage(tmp_path, 'ceiling').model.bbox_head.anchor_generator.octave_base_scale == 4
    assistant, student = stages['assistant'].model, stages['student'].model
    assert assistant.type == student.type == stages['one_stage'].model.type == 'AFPDistiller'
    assert assistant.student == student.teacher.cfg
    assert assistant.student == dict(type='AFPDetector', ratio=2, detector=own)
    assert student.student == stages['one_stage'].model.student == own
    for stage in ('assistant', 'one_stage'):
        assert stages[stage].model.teacher.cfg == f'mmdet::{ZOO[4]}'


def test_checkpoints_are_found(tmp_path, monkeypatch):
    folder = tmp_path / 'mine_k2'
    source = source_of(f'mmdet::{ZOO[4]}', folder)
    stages = write(source, folder)
    place = 'work_dirs/mine_k2/{}/epoch_4.pth'
    assert stages['assistant'].model.teacher.checkpoint == place.format('teacher')
    assert stages['student'].model.teacher.checkpoint == place.format('assistant')
    assert stages['student'].load_from == place.format('assistant')
    assert stages['one_stage'].model.teacher.checkpoint == place.format('teacher')
    assert stages['one_stage'].load_from is None

    monkeypatch.setenv('TEACHER_CHECKPOINT', 'a.pth')
    monkeypatch.setenv('ASSISTANT_CHECKPOINT', 'b.pth')
    stages = read_all(folder)
    assert stages['assistant'].model.teacher.checkpoint == 'a.pth'
    assert stages['student'].model.teacher.checkpoint == stages['student'].load_from == 'b.pth'


def test_a_given_checkpoint_is_the_default(tmp_path):
    given = read(f'mmdet::{ZOO[4]}', 'ceiling', tmp_path)
    stages = write(Source(given, given, Fraction(2), 'x', 'zoo/best-1.pth'), tmp_path)
    assert stages['assistant'].model.teacher.checkpoint == 'zoo/best-1.pth'


@pytest.mark.parametrize('place', ['a file.pth', 'a+b.pth', '(a).pth'])
def test_places_that_mmengine_would_misread_are_refused(place, tmp_path):
    given = read(f'mmdet::{ZOO[4]}', 'ceiling', tmp_path)
    with pytest.raises(ValueError, match='cannot stand in a config'):
        Source(given, given, Fraction(2), 'x', place).checkpoint('teacher')


@pytest.mark.parametrize('ratio, said', [(Fraction(3, 2), 1.5), (Fraction(4, 3), '4/3')])
def test_ratios_that_are_not_whole(ratio, said, tmp_path):
    stages = write(source_of(f'mmdet::{ZOO[4]}', tmp_path, ratio), tmp_path)
    assert stages['student'].model.ratio == said
    assert stages['student'].train_pipeline[-2].ratio == said
    assert stages['baseline'].model.bbox_head.anchor_generator.octave_base_scale == float(4 / ratio)


@pytest.fixture
def custom(tmp_path) -> Source:
    """A dataset of one's own, in wrappers inside a list, each with its pipeline."""
    (tmp_path / 'mine.py').write_text(CUSTOM)
    (tmp_path / 'deep').mkdir()
    return source_of(str(tmp_path / 'mine.py'), tmp_path / 'deep' / 'recipe')


def test_pipelines_inside_of_lists(custom, tmp_path):
    stages = write(custom, tmp_path / 'deep' / 'recipe')
    stock = Config.fromfile(tmp_path / 'mine.py')
    for stage, views in VIEWS.items():
        cfg = stages[stage]
        assert plain(cfg.train_dataloader) == plain(stock.train_dataloader)
        assert [before.get('views') for _, before in packed(cfg.train_dataloader)] == [views] * 2
        for loader in ('val_dataloader', 'test_dataloader'):
            assert plain(cfg[loader]) == plain(stock[loader])
            (pack,) = packed(cfg[loader])
            assert pack[1]['views'] == (views or ['lr'])


def test_variables_of_the_given_config_stay_alive(custom, tmp_path, monkeypatch):
    write(custom, tmp_path / 'deep' / 'recipe')
    monkeypatch.setenv('MY_DATA', '/elsewhere')
    for cfg in read_all(tmp_path / 'deep' / 'recipe').values():
        assert cfg.val_dataloader.dataset.ann_file == '/elsewhere/first.json'
        datasets = cfg.train_dataloader.dataset.datasets
        assert [one.dataset.ann_file for one in datasets] == [
            *('/elsewhere/first.json', '/elsewhere/second.json')
        ]


def test_a_file_is_inherited_by_its_relative_path(custom, tmp_path):
    write(custom, tmp_path / 'deep' / 'recipe')
    assert "_base_ = '../../mine.py'" in (tmp_path / 'deep' / 'recipe' / 'baseline.py').read_text()
    assert custom.student.place == '{{ fileDirname }}/../../mine.py'
    read_stage(tmp_path / 'deep' / 'recipe', 'ceiling')
    given = read(str(tmp_path / 'mine.py'), 'ceiling', Path('/elsewhere'))
    assert given.base == given.place == str(tmp_path / 'mine.py')


def test_a_preprocessor_beside_the_model_is_moved_into_it(custom, tmp_path):
    stages = write(custom, tmp_path / 'deep' / 'recipe')
    preprocessor = plain(Config.fromfile(tmp_path / 'mine.py').data_preprocessor)
    assert plain(stages['baseline'].model.data_preprocessor) == preprocessor
    assert plain(stages['student'].model.teacher.cfg.detector.data_preprocessor) == preprocessor


def test_imports_and_hooks_of_the_given_config_are_kept(custom, tmp_path):
    stages = write(custom, tmp_path / 'deep' / 'recipe')
    for cfg in stages.values():
        assert cfg.custom_imports.imports == ['json', 'pd_mmdet']
        assert plain(cfg.custom_hooks) == [dict(type='NumClassCheckHook'), *OURS]


def test_a_config_that_has_this_package_already(recipe, tmp_path):
    hooks = Config.fromfile(recipe / 'ceiling.py').custom_hooks
    assert [hook.type for hook in hooks] == [hook['type'] for hook in OURS]
    stages = write(source_of(str(recipe / 'ceiling.py'), tmp_path), tmp_path)
    for stage in ('baseline', 'student'):
        assert stages[stage].custom_imports.imports == ['pd_mmdet']
        assert stages[stage].custom_hooks == hooks
        assert 'custom' not in (tmp_path / f'{stage}.py').read_text()
