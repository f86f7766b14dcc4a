from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from pd_mmdet.workbench.recipes import make
from pd_mmdet.workbench.recipes.make import make_recipe
from pd_mmdet.workbench.recipes.plain_config import PlainConfig
from pd_mmdet.workbench.stages.recipe import read_stage
from pd_mmdet.workbench.stages.stage import ORDER, plan
from pd_mmdet.workbench.tasks.detection import DETECTION
from tests.helpers import ROOT

CONFIGS = ROOT / 'configs'
STAGES = ['baseline', 'assistant', 'student']
FILES = [f'{stage}.py' for stage in STAGES]


@pytest.fixture(autouse=True)
def stock_modules() -> None:
    register_all_modules()


@pytest.fixture
def pair(recipe: Path) -> tuple[str, str]:
    """Two slim detectors on glyphs: student and teacher."""
    return str(recipe / 'ceiling.py'), str(recipe / 'teacher.py')


def changed(folder: Path, base: str, text: str, name: str = 'changed.py') -> str:
    """A config that inherits another."""
    (folder / name).write_text(f'_base_ = {base!r}\n{text}\n')
    return str(folder / name)


def test_train_tas_takes_it(pair, tmp_path):
    out = tmp_path / 'new' / 'mine_k2'
    made = make_recipe(*pair, 2, out)
    assert made.files == FILES and made.left_out == {}
    assert sorted(file.name for file in out.iterdir()) == sorted(FILES)
    stages = plan(out, tmp_path / 'work', ['ceiling', 'one_stage', 'baseline'])
    assert [stage.name for stage in stages] == [*ORDER]
    files = {stage.name: stage.read.filename for stage in stages}
    assert files['ceiling'] == pair[0] and files['teacher'] == pair[1]


def test_terms_of_the_stages(pair, tmp_path):
    make_recipe(*pair, '2', tmp_path / 'out', cells=1)
    models = {
        stage: read_stage(tmp_path / 'out', stage).model
        for stage in ('assistant', 'student', 'one_stage')
    }
    assert {stage: list(model.terms) for stage, model in models.items()} == dict(
        assistant=['pkd'], student=['pkd', 'cls', 'box'], one_stage=['pkd']
    )
    assert models['student'].terms.pkd.teacher == 'neck.afp'
    assert models['student'].isrd == models['one_stage'].isrd == dict(weight=0.5)
    assert 'isrd' not in models['assistant']


def low_resolution(cfg: Config) -> dict:
    pipeline = cfg.train_dataloader.dataset.pipeline
    return next(dict(step) for step in pipeline if step.type == 'LowResolution')


@pytest.mark.parametrize('ratio, enlarge, cells', [(4, 2, 2), (2, 2, 1), (2, 1, 2)])
def test_knobs(pair, tmp_path, ratio, enlarge, cells):
    """With k = u·c the heads of teacher and assistant have the same priors."""
    made = make_recipe(*pair, ratio, tmp_path / 'out', enlarge=enlarge, cells=cells)
    assert made.files == FILES and made.left_out == {}
    stages = {name: read_stage(tmp_path / 'out', name) for name in (*STAGES, 'one_stage')}
    models = {name: cfg.model for name, cfg in stages.items()}
    for name, views in dict(assistant=['hr'], student=None, baseline=['lr']).items():
        low = low_resolution(stages[name])
        assert (low['ratio'], low.get('enlarge', 1), low.get('views')) == (ratio, enlarge, views)
    for name in ('assistant', 'student', 'one_stage'):
        assert models[name].ratio == ratio / enlarge
        assert {*models[name].terms} == {'pkd', 'cls', 'box'}
    assert models['student'].isrd == dict(weight=0.5)
    assert models['assistant'].student.ratio == models['student'].teacher.cfg.ratio
    student = models['student'].student
    assert student == models['baseline'] == models['assistant'].student.detector
    assert student.get('cells', 1) == cells
    # The priors of the student, on the image that it reads, are those of the ceiling.
    ceiling = MODELS.build(Config.fromfile(pair[0]).model)
    head = MODELS.build(student).bbox_head
    view_ratio = ratio // enlarge
    priors = head.prior_generator.grid_priors([(8, 8)] * 3, device='cpu')
    stock = ceiling.bbox_head.prior_generator.grid_priors([(8, 8)] * 3, device='cpu')
    torch.testing.assert_close([level * view_ratio for level in priors], stock)


def test_coarse_cells_do_not_learn_from_the_heads_of_the_teacher(pair, tmp_path):
    make_recipe(*pair, 4, tmp_path / 'out', cells=2)
    assert list(read_stage(tmp_path / 'out', 'assistant').model.terms) == ['pkd']


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(cells=3), 'cells=3 with ratio=2: .*at most 2 is right'),
        (dict(cells=2, enlarge='3/2'), 'cells=2 with ratio=2, enlarge=3/2: .*at most 1 is right'),
        (dict(cells=0), 'cells=0: must be a whole number'),
        (dict(enlarge=4), 'enlarge=4 with ratio=2'),
        (dict(enlarge='big'), 'enlarge must be a fraction'),
    ],
)
def test_bad_knobs(options, message, pair, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_recipe(*pair, 2, tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'family, name, variant, knobs',
    [
        ('faster_rcnn', 'faster-rcnn_{}_fpn_1x_voc0712', 'k4', {}),
        ('retinanet', 'retinanet_{}_fpn_1x_coco', 'k2', dict(cells=1)),
        ('retinanet', 'retinanet_{}_fpn_1x_coco', 'k2_u2', dict(enlarge=2)),
        ('retinanet', 'retinanet_{}_fpn_1x_voc0712', 'k4_u2_c2', {}),
    ],
)
def test_shipped_recipes_are_what_is_written(family, name, variant, knobs, tmp_path, monkeypatch):
    recipe = f'{name.format("r50-r18")}_{variant}'
    shipped, out = CONFIGS / family / recipe, tmp_path / family / recipe
    shutil.copytree(CONFIGS / '_base_', tmp_path / '_base_')
    (tmp_path / family).mkdir()
    files = [CONFIGS / family / f'{name.format(network)}.py' for network in ('r18', 'r50')]
    pair = [str(shutil.copy(file, out.parent)) for file in files]
    monkeypatch.setattr(make, '_check', lambda *_: None)  # test_configs_train.py builds them
    make_recipe(*pair, int(variant[1]), out, **knobs)
    written = {file.name: file.read_text() for file in out.glob('*.py')}
    assert written == {file.name: file.read_text() for file in shipped.glob('*.py')}


def test_what_cannot_be_had_is_left_out_with_the_reason(pair, tmp_path, monkeypatch):
    terms = dict(DETECTION.same_network_terms)
    for name, tap, loss in (
        ('ld', 'bbox_head', 'DenseHeadDistributionLoss'),
        ('rpn', 'rpn_head', 'DenseHeadClsLoss'),
    ):
        terms[name] = dict(student=tap, teacher=tap, loss=dict(type=loss), weight=1.0)
    monkeypatch.setattr(PlainConfig, 'task', replace(DETECTION, same_network_terms=terms))
    isrd = [dict(weight=0.5, tap='backbone.nothing')]
    monkeypatch.setattr('pd_mmdet.workbench.recipes.make.isrd_options', lambda *_: isrd)
    made = make_recipe(*pair, 2, tmp_path / 'out')
    assert list(made.left_out) == ['ld of student.py', 'isrd of student.py']
    assert 'DenseHeadDistributionLoss cannot serve' in made.left_out['ld of student.py']
    text = (tmp_path / 'out' / 'student.py').read_text()
    assert '# ld is left out: DenseHeadDistributionLoss cannot serve' in text
    assert "# isrd is left out: tap 'backbone.nothing' names nothing" in text
    model = Config.fromfile(tmp_path / 'out' / 'student.py').model
    assert list(model.terms) == ['pkd', 'cls', 'box'] and 'isrd' not in model


def test_isrd_follows_the_normalisation(pair, tmp_path):
    plain = 'model = dict(data_preprocessor=dict(mean=[0, 0, 0], std=[1, 1, 1]))'
    student = changed(tmp_path, pair[0], plain)
    make_recipe(student, pair[1], 2, tmp_path / 'out')
    # 0.5 where images are divided by 57; grey levels are 57 times as large.
    assert Config.fromfile(tmp_path / 'out' / 'student.py').model.isrd == dict(weight=0.009)
    text = ' '.join((tmp_path / 'out' / 'student.py').read_text().split())
    assert 'not divided by their deviation, so the loss is larger and its weight smaller.' in (
        text.replace('# ', '')
    )


def test_one_stage_is_said_to_be_missing_where_no_level_is_shared(pair, tmp_path):
    made = make_recipe(*pair, 3, tmp_path / 'out', cells=1)
    assert made.files == FILES
    assert 'no level covers the same part' in made.left_out['one_stage']


def test_one_stage_has_a_file_where_its_terms_are_not_those_of_the_assistant(
    pair, tmp_path, monkeypatch
):
    """Of the student's last level the teacher has no counterpart on the large image."""
    last = dict(student='neck[2]', teacher='neck[2]', loss=dict(type='PearsonLoss'), weight=1.0)
    terms = dict(DETECTION.different_network_terms, last=last)
    task = replace(DETECTION, different_network_terms=terms)
    monkeypatch.setattr(PlainConfig, 'task', task)
    made = make_recipe(*pair, 2, tmp_path / 'out', cells=1)
    assert made.files == [*FILES, 'one_stage.py']
    models = {
        stage: read_stage(tmp_path / 'out', stage).model for stage in ('assistant', 'one_stage')
    }
    assert [*models['assistant'].terms] == ['pkd', 'last']
    assert [*models['one_stage'].terms] == ['pkd']
    assert models['one_stage'].teacher == models['assistant'].teacher


def test_checkpoint_of_the_teacher(pair, tmp_path):
    weights = MODELS.build(Config.fromfile(pair[1]).model).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'teacher.pth')
    make_recipe(*pair, 2, tmp_path / 'out', str(tmp_path / 'teacher.pth'))
    model = Config.fromfile(tmp_path / 'out' / 'assistant.py').model
    assert model.teacher.checkpoint == str(tmp_path / 'teacher.pth')

    weights.popitem()
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other.pth does not fit the teacher'):
        make_recipe(*pair, 2, tmp_path / 'other', str(tmp_path / 'other.pth'))
    assert not (tmp_path / 'other').exists()


def test_nothing_is_overwritten(pair, tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='is there and not empty: nothing was written'):
        make_recipe(*pair, 2, tmp_path)
    with pytest.raises(FileExistsError, match='mine.txt'):
        make_recipe(*pair, 2, tmp_path / 'mine.txt')
    assert [file.name for file in tmp_path.iterdir()] == ['mine.txt']


@pytest.mark.parametrize('ratio', [1, 0.5, 'two', 1.7])
def test_bad_ratios(ratio, pair, tmp_path):
    with pytest.raises(ValueError, match='ratio must be a fraction p/q larger than 1'):
        make_recipe(*pair, ratio, tmp_path / 'out')


def test_missing_files(pair, tmp_path):
    with pytest.raises(FileNotFoundError, match='no config file at .*nowhere.py'):
        make_recipe(pair[0], str(tmp_path / 'nowhere.py'), 2, tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='no config mmdet::no/such.py'):
        make_recipe('mmdet::no/such.py', pair[1], 2, tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*no.pth'):
        make_recipe(*pair, 2, tmp_path / 'out', 'no.pth')
    with pytest.raises(FileNotFoundError, match='no config .*orphan.py, or not all'):
        make_recipe(changed(tmp_path, 'gone.py', '', 'orphan.py'), pair[1], 2, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_an_address_is_no_file(pair, tmp_path):
    with pytest.raises(ValueError, match='https://x.org/t.pth is no file: download it first'):
        make_recipe(*pair, 2, tmp_path / 'out', 'https://x.org/t.pth')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'text, message',
    [
        ('train_dataloader = None', 'has no train_dataloader: name the config of a whole training'),
        ('model = None', 'has no model'),
        ('train_cfg = dict(_delete_=True, type="X")', 'has neither max_iters nor max_epochs'),
        (
            'train_dataloader = dict(dataset=dict(pipeline=[dict(type="LoadImageFromFile")]))',
            'train_dataloader has no pipeline with the packing transform PackDetInputs',
        ),
        (
            'model = dict(bbox_head=dict(num_classes=9))',
            r'changed.py has num_classes=\{9\}, .*teacher.py num_classes=\{10\}',
        ),
        (
            'metainfo = dict(classes=("a", "b"))\n'
            'train_dataloader = dict(dataset=dict(metainfo=metainfo))',
            "changed.py has 2, .*teacher.py has 10, and number 1 is 'a' and ",
        ),
        ('model = dict(', 'changed.py cannot be read: SyntaxError'),
        ('x = 1 / 0', 'changed.py cannot be read: ZeroDivisionError'),
        (
            "model = dict(type='RetinaNett')",
            'changed.py cannot be distilled: .*RetinaNett is not in the mmdet::model registry',
        ),
        (
            'model = dict(backbone=dict(depth=19))',
            'cannot be distilled: invalid depth 19 for resnet',
        ),
        ('model = dict(neck=dict(in_channels=3))', "Error at 'assert .*in_channels.*' in fpn.py"),
        (
            'model = dict(neck=None)',
            r'changed.py cannot be distilled: AFP of \S*RetinaNet\S*: it has no neck',
        ),
    ],
)
def test_configs_of_which_no_recipe_can_be_made(text, message, pair, tmp_path):
    student = changed(tmp_path, pair[0], text)
    with pytest.raises(ValueError, match=message):
        make_recipe(student, pair[1], 2, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_teacher_that_cannot_be_built_is_named(pair, tmp_path):
    teacher = changed(tmp_path, pair[1], "model = dict(type='RetinaNett')")
    with pytest.raises(ValueError, match='cannot learn from .*changed.py: .*RetinaNett is not in'):
        make_recipe(pair[0], teacher, 2, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_stages_of_a_recipe_are_no_plain_configs(recipe, pair, tmp_path):
    with pytest.raises(ValueError, match='student.py is a distilled detector'):
        make_recipe(str(recipe / 'student.py'), pair[1], 2, tmp_path / 'out')
    with pytest.raises(ValueError, match='train_dataloader has a LowResolution already'):
        make_recipe(str(recipe / 'baseline.py'), pair[1], 2, tmp_path / 'out')


def test_an_empty_folder_stays_when_it_fails(pair, tmp_path):
    student = changed(tmp_path, pair[0], 'model = dict(neck=None)')
    (tmp_path / 'out').mkdir()
    with pytest.raises(ValueError):
        make_recipe(student, pair[1], 2, tmp_path / 'out')
    assert list((tmp_path / 'out').iterdir()) == []


def test_detectors_with_queries_are_refused(pair, tmp_path):
    with pytest.raises(ValueError, match='cannot be distilled: .*queries'):
        detr = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'
        make_recipe(detr, detr, 2, tmp_path / 'out')
