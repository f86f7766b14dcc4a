import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pd_mmdet.workbench.stages.preflight import check_data
from pd_mmdet.workbench.stages.stage import plan

SWITCH = """
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='mmdet.PipelineSwitchHook',
        switch_epoch=1,
        switch_pipeline=[dict(type='LoadImageFromFile'), dict(type='PackDetInputs')],
    ),
]
"""
OTHER_RATIO = """
train_pipeline = [
    *_base_.train_pipeline[:-2], dict(type='LowResolution', ratio=3), _base_.train_pipeline[-1]
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""
TINY = """
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='FixShapeResize', width=6, height=6, keep_ratio=False),
    *_base_.train_pipeline[-2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""
WITHOUT_SCALE = """
test_pipeline = [*_base_.test_pipeline[:-1], dict(type='PackDetInputs', meta_keys=('img_id',))]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
WITHOUT_RESIZE = """
train_pipeline = [one for one in _base_.train_pipeline if one['type'] != 'Resize']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""


@pytest.fixture
def data(glyphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The few glyphs, to be changed."""
    root = tmp_path / 'data'
    shutil.copytree(glyphs, root)
    monkeypatch.setenv('GLYPHS_ROOT', str(root))
    return root


def stages_of(recipe: Path, tmp_path: Path, **added: str) -> list:
    """The plan of the shipped recipe, with lines added to some of its files."""
    mine = tmp_path / 'mine'
    mine.mkdir()
    for name in ('teacher', 'assistant', 'student'):
        base = f"_base_ = '{recipe / name}.py'\n"
        (mine / f'{name}.py').write_text(base + added.get(name, ''))
    return plan(mine, tmp_path / 'work')


def test_every_stages_data_are_tried_once(recipe, tmp_path, capsys):
    check_data(stages_of(recipe, tmp_path))
    said = [
        f'Trying the {split} data of {stage}'
        for stage in ('teacher', 'assistant', 'student')
        for split in ('train', 'val')
    ]
    assert [line for line in capsys.readouterr().out.splitlines() if 'Trying' in line] == said
    assert not (tmp_path / 'work').exists()


def test_what_fails_in_the_last_stage_is_said_first(recipe, tmp_path):
    stages = stages_of(recipe, tmp_path, student=OTHER_RATIO)
    message = 'student.py: train_dataloader: the distiller has ratio=2, .*ratio=3'
    with pytest.raises(ValueError, match=message):
        check_data(stages)


def test_what_fails_on_an_image_names_it(recipe, glyphs, tmp_path):
    stages = stages_of(recipe, tmp_path, student=TINY)
    message = f'student.py: train_dataloader, {glyphs}/train/0.*: ValueError: .*image is 3x3 pixels'
    with pytest.raises(ValueError, match=message):
        check_data(stages)


def test_a_scale_that_is_not_packed_is_said_first(recipe, tmp_path):
    stages = stages_of(recipe, tmp_path, student=WITHOUT_SCALE)
    with pytest.raises(ValueError, match="student.py: val_dataloader: .*add 'scale_factor'"):
        check_data(stages)


def test_the_pipeline_of_the_last_epochs_is_tried(recipe, tmp_path):
    stages = stages_of(recipe, tmp_path, student=SWITCH)
    with pytest.raises(ValueError, match='student.py: switch_pipeline, .*the batch has one view'):
        check_data(stages)


@pytest.mark.parametrize(
    ('size', 'added', 'stage', 'small'),
    [
        ((12, 300), '', 'assistant', '80x3'),  # resized to 160 pixels it is 6 high
        ((14, 14), WITHOUT_RESIZE, 'student', '7x7'),
    ],
)
def test_the_image_that_is_too_small_is_found(recipe, data, tmp_path, size, added, stage, small):
    """It is the last of all; the annotations state its size."""
    file = data / 'annotations' / 'train.json'
    content = json.loads(file.read_text())
    image = dict(id=999, file_name='small.png', height=size[0], width=size[1])
    content['images'].append(image)
    thing = dict(content['annotations'][0], id=99999, image_id=999, bbox=[1, 1, 9, 9], area=81)
    content['annotations'].append(thing)
    file.write_text(json.dumps(content))
    cv2.imwrite(str(data / 'train' / 'small.png'), np.zeros((*size, 3), np.uint8))
    message = f'{stage}.py: train_dataloader, .*small.png: .*the small image is {small} pixels'
    with pytest.raises(ValueError, match=message):
        check_data(stages_of(recipe, tmp_path, student=added))
