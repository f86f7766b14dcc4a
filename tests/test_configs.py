from pathlib import Path

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config

from pd_mmdet.afp import AFPDetector
from pd_mmdet.distillers import AFPDistiller

CONFIGS = Path(__file__).parents[1] / 'configs'
RECIPES = sorted(path.name for path in (CONFIGS / 'retinanet').iterdir() if path.is_dir())


def ratios(pipeline: list[dict]) -> list:
    return [step['ratio'] for step in pipeline if step['type'] == 'LowResolution']


def pipelines(dataset: dict) -> list[list[dict]]:
    """The pipelines of a dataset and of those that it wraps."""
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets', [])
    own = [dataset['pipeline']] if 'pipeline' in dataset else []
    return own + [pipeline for item in inner for pipeline in pipelines(item)]


@pytest.mark.parametrize('recipe', RECIPES)
def test_every_stage_of_a_recipe_builds_and_agrees_on_the_ratio(recipe: str):
    ratio = int(recipe.rpartition('_k')[2])
    for stage in ('teacher', 'ceiling', 'assistant', 'student', 'baseline'):
        cfg = Config.fromfile(CONFIGS / 'retinanet' / recipe / f'{stage}.py')
        model = MODELS.build(cfg.model)
        distilled = stage in ('assistant', 'student')
        assert isinstance(model, AFPDistiller) == distilled
        assert isinstance(model, AFPDetector) == (stage == 'assistant')
        assert not distilled or model.ratio == ratio
        large = stage in ('teacher', 'ceiling')
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            for pipeline in pipelines(loader.dataset):
                assert ratios(pipeline) == ([] if large else [ratio])


@pytest.mark.parametrize('recipe', RECIPES)
def test_student_and_baseline_are_one_network(recipe: str):
    folder = CONFIGS / 'retinanet' / recipe
    student, baseline, assistant = (
        Config.fromfile(folder / f'{stage}.py').model
        for stage in ('student', 'baseline', 'assistant')
    )
    assert student.student == baseline
    assert assistant.student.detector == baseline
    assert student.teacher.cfg.detector == baseline


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
