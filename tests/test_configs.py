import copy
import os
import re
from functools import cache
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine import registry
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import init_default_scope

from pd_mmdet.afp import AFPDetector
from pd_mmdet.distillers import AFPDistiller
from pd_mmdet.workbench.stages.pretrained import check_pretrained
from pd_mmdet.workbench.stages.recipe import read_stage
from pd_mmdet.workbench.stages.stage import plan
from tests.helpers import ROOT

CONFIGS = ROOT / 'configs'
ALL = sorted(path.parent for path in CONFIGS.glob('*/*/student.py'))
CLASSIFIERS = [
    recipe for recipe in ALL if 'PixelDistillClassifier' in (recipe / 'student.py').read_text()
]
DETECTORS = [recipe for recipe in ALL if recipe not in CLASSIFIERS]
SLIM = [recipe for recipe in DETECTORS if '_fpn_1x_' not in recipe.name]
# Without MMPretrain the configs of classifiers cannot be read.
RECIPES = ALL if find_spec('mmpretrain') else DETECTORS
NAME = attrgetter('name')
every_recipe = pytest.mark.parametrize('recipe', RECIPES, ids=NAME)
every_detector = pytest.mark.parametrize('recipe', DETECTORS, ids=NAME)


_read = cache(read_stage)


def read(recipe: Path, stage: str) -> Config:
    """The config of a stage, read once: that takes half of these tests' time."""
    return copy.deepcopy(_read(recipe, stage))


def knobs(recipe: Path) -> dict[str, int]:
    """The numbers in a recipe's name: k, and u and c where they are not 1."""
    named = re.findall(r'_([kuc])(\d+)', recipe.name[recipe.name.rindex('_k') :])
    return dict(u=1, c=1) | {knob: int(number) for knob, number in named}


def views(pipeline: list[dict]) -> list[tuple]:
    """The ratio of the small image, and how often it is enlarged."""
    steps = (step for step in pipeline if step['type'] == 'LowResolution')
    return [(step['ratio'], step.get('enlarge', 1)) for step in steps]


def pipelines(dataset: dict) -> list[list[dict]]:
    """The pipelines of a dataset and of those that it wraps."""
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets', [])
    own = [dataset['pipeline']] if 'pipeline' in dataset else []
    return own + [pipeline for item in inner for pipeline in pipelines(item)]


@every_recipe
def test_every_stage_of_a_recipe_agrees_on_the_views(recipe: Path):
    k, u = (knobs(recipe)[knob] for knob in 'ku')
    ratio = k // u
    for stage in ('teacher', 'ceiling', 'assistant', 'student', 'baseline', 'one_stage'):
        cfg = read(recipe, stage)
        assert cfg.model.get('ratio', ratio) == ratio
        large = stage in ('teacher', 'ceiling')
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            for pipeline in pipelines(loader.dataset):
                assert views(pipeline) == ([] if large else [(k, u)])


@pytest.mark.parametrize(
    'recipe', [recipe for recipe in SLIM if knobs(recipe)['u'] * knobs(recipe)['c'] > 1], ids=NAME
)
def test_finer_students_have_the_priors_of_the_large_image(recipe: Path):
    """Cell by cell, in pixels of the large image; so stage 1 compares heads, too."""
    k, u, c = (knobs(recipe)[knob] for knob in 'kuc')
    assert k == u * c
    student, large = (MODELS.build(read(recipe, stage).model) for stage in ('baseline', 'ceiling'))
    if hasattr(large, 'rpn_head'):
        head, terms = 'rpn_head', {'pkd', 'rpn_cls', 'rpn_box'}
    else:
        head, terms = 'bbox_head', {'pkd', 'cls', 'box'}
    assert {*read(recipe, 'assistant').model.terms} == terms
    assert getattr(student, 'cells', 1) == c
    generators = [getattr(model, head).prior_generator for model in (student, large)]
    sizes = [(60 // 2**level, 80 // 2**level) for level in range(generators[0].num_levels)]
    priors, wanted = (generator.grid_priors(sizes, device='cpu') for generator in generators)
    for level, expected in zip(priors, wanted, strict=True):
        torch.testing.assert_close(k / u * level, expected)


@every_detector
def test_student_and_baseline_are_one_network(recipe: Path):
    student, baseline, assistant = (
        read(recipe, stage).model for stage in ('student', 'baseline', 'assistant')
    )
    assert student.student == baseline
    assert assistant.student.detector == baseline
    assert student.teacher.cfg.detector == baseline


@pytest.mark.skipif(not find_spec('mmpretrain'), reason='MMPretrain is not installed')
@pytest.mark.parametrize('recipe', CLASSIFIERS, ids=NAME)
def test_a_classifier_and_its_assistant_are_one_network(recipe: Path):
    student, baseline, assistant, ceiling = (
        read(recipe, stage).model for stage in ('student', 'baseline', 'assistant', 'ceiling')
    )
    assert student.student == baseline and assistant.student == ceiling
    assert student.teacher.cfg == read(recipe, 'baseline').ceiling
    side = ceiling.backbone.pop('img_size', None)
    assert baseline.backbone.pop('img_size', None) == (side and side // student.ratio)
    assert baseline == ceiling


@pytest.mark.skipif(not find_spec('mmpretrain'), reason='MMPretrain is not installed')
@pytest.mark.parametrize('recipe', CLASSIFIERS, ids=NAME)
def test_a_classifier_that_is_distilled_builds(recipe: Path):
    init_default_scope('mmpretrain')
    cfg = read(recipe, 'student')
    model = registry.MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    assert list(model.distill) == ['kd', 'isrd']


# Of the others each kind is built, and trains a step, in test_configs_train.py.
@pytest.mark.parametrize('recipe', SLIM, ids=NAME)
def test_every_stage_of_a_slim_recipe_builds(recipe: Path):
    for stage in {'one_stage', *(file.stem for file in recipe.glob('*.py'))}:
        model = MODELS.build(read(recipe, stage).model)
        distilled = stage in ('assistant', 'student', 'one_stage', 'one_stage_heads')
        assert isinstance(model, AFPDistiller) == distilled
        assert isinstance(model, AFPDetector) == (stage == 'assistant')


@pytest.mark.parametrize('data', ['glyphs', 'bccd'])
@pytest.mark.parametrize('stage, depth', [('teacher', 34), ('ceiling', 18), ('baseline', 18)])
def test_one_variable_turns_pretrained_weights_on(
    data: str, stage: str, depth: int, monkeypatch: pytest.MonkeyPatch
):
    file = CONFIGS / 'retinanet' / f'retinanet_r34-r18_{data}_k2' / f'{stage}.py'
    assert Config.fromfile(file).model.backbone.init_cfg is None
    monkeypatch.setenv('PRETRAINED', '1')
    cfg = Config.fromfile(file).model
    assert cfg.backbone.init_cfg.checkpoint == f'torchvision://resnet{depth}'
    assert MODELS.build(cfg).backbone.conv1.out_channels == 64


@every_recipe
def test_the_family_names_every_recipe(recipe: Path):
    assert f']({recipe.name}' in (recipe.parent / 'README.md').read_text()


def test_metafiles_name_configs_that_are_shipped():
    files = [ROOT / file for file in load(ROOT / 'model-index.yml')['Import']]
    models = [model for file in files for model in load(file)['Models']]
    assert models and all((ROOT / model['Config']).is_file() for model in models)


@pytest.mark.parametrize(
    'recipe', [recipe for recipe in RECIPES if 'mobilenet-v2' in recipe.name], ids=NAME
)
def test_imagenets_weights_reach_both_networks(recipe: Path, tmp_path: Path):
    for variable in ('MOBILENET_V2', 'EFFICIENTNET_LITE2'):
        if variable not in os.environ:
            pytest.skip(f'{variable} names no file of weights (configs/atss/README.md)')
    check_pretrained(plan(recipe, tmp_path, ['baseline', 'ceiling']))
