from pathlib import Path

import pytest
from mmengine.config import Config

from pd_mmdet.workbench.stages.recipe import read_stage
from pd_mmdet.workbench.stages.stage import plan
from tests.helpers import ROOT

FAMILY = ROOT / 'configs' / 'faster_rcnn'
NAMING = FAMILY / 'faster-rcnn_r34-r18_bccd_k2'


@pytest.fixture
def folder(recipe: Path, tmp_path: Path) -> Path:
    """A recipe whose three configs inherit those of glyphs."""
    for name in ('assistant', 'student', 'baseline'):
        (tmp_path / f'{name}.py').write_text(f"_base_ = '{recipe}/{name}.py'\n")
    return tmp_path


def test_teacher_and_ceiling_are_read_where_they_are_named():
    for stage, file in (
        ('teacher', 'faster-rcnn_r34_slim_fpn_1000it_bccd.py'),
        ('ceiling', 'faster-rcnn_r18_slim_fpn_800it_bccd.py'),
    ):
        cfg = read_stage(NAMING, stage)
        assert cfg.to_dict() == Config.fromfile(FAMILY / file).to_dict()
        assert cfg.filename == str(FAMILY / file)


def test_a_library_s_config_is_a_teacher(folder):
    name = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    with (folder / 'assistant.py').open('a') as file:
        file.write(f"model = dict(teacher=dict(cfg='{name}'))\n")
    assert read_stage(folder, 'teacher').model.backbone.depth == 50


def test_a_file_comes_first(folder, recipe):
    (folder / 'teacher.py').write_text('mine = True\n')
    assert read_stage(folder, 'teacher').mine
    assert read_stage(recipe, 'teacher').filename == str(recipe / 'teacher.py')


def test_one_stage_is_the_student_with_the_teacher_of_the_assistant(folder):
    with (folder / 'baseline.py').open('a') as file:
        file.write("load_from = 'mine.pth'\n")
    found = read_stage(folder, 'one_stage')
    student, assistant = (read_stage(folder, name) for name in ('student', 'assistant'))
    assert found.model.teacher == assistant.model.teacher
    assert found.model.terms == assistant.model.terms
    for key in ('ratio', 'student', 'isrd'):
        assert found.model[key] == student.model[key]
    assert found.load_from == 'mine.pth'
    assert found.train_dataloader == student.train_dataloader


@pytest.mark.parametrize(
    'stage, file, text, message',
    [
        ('teacher', 'assistant', 'model = dict(teacher=None)', 'model.teacher.cfg is None, which'),
        (
            'teacher',
            'assistant',
            "model = dict(teacher=dict(_delete_=True, cfg=dict(type='RetinaNet')))",
            'model.teacher.cfg is .*, or add teacher.py to the recipe',
        ),
        ('ceiling', 'baseline', '', 'ceiling is None, .*, or add ceiling.py to the recipe'),
    ],
)
def test_a_stage_that_is_not_named_is_refused(stage, file, text, message, folder):
    with (folder / f'{file}.py').open('a') as config:
        config.write(f'{text}\n')
    with pytest.raises(ValueError, match=message):
        read_stage(folder, stage)


def test_missing_files_are_named(folder):
    with (folder / 'baseline.py').open('a') as file:
        file.write("ceiling = 'nowhere.py'\n")
    with pytest.raises(FileNotFoundError, match='baseline.py: ceiling: no config file'):
        read_stage(folder, 'ceiling')
    with pytest.raises(FileNotFoundError, match='has no third.py; it has assistant.py, '):
        read_stage(folder, 'third')
    with pytest.raises(FileNotFoundError, match='no recipe folder at .*elsewhere'):
        read_stage(folder / 'elsewhere', 'one_stage')


def test_a_teacher_s_config_may_move_between_two_runs(folder, recipe, tmp_path):
    """A stage that was begun goes on, with the place where the teacher's config is now."""
    stages = plan(recipe, tmp_path / 'work')
    for stage in stages:
        stage.make_folder()
        stage.checkpoint.touch()
        (stage.folder / 'last_checkpoint').write_text(str(stage.checkpoint))
    assistant = stages[1].config
    text = assistant.read_text()
    assert f'{recipe}/teacher.py' in text
    assistant.write_text(text.replace(str(recipe), '/no/longer/there'))
    assert all(stage.finished for stage in plan(recipe, tmp_path / 'work'))
