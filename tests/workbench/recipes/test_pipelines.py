from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose

import pd_mmdet  # noqa: F401
from pd_mmdet.workbench.config_text import config_text
from pd_mmdet.workbench.recipes.pipelines import Pipelines, derived, is_packing, with_views

LOAD, FLIP = dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5)
PACK = dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'flip'))
PACK_SCALE = dict(PACK, meta_keys=('img_id', 'flip', 'scale_factor'))
LAST = [LOAD, FLIP, PACK]
INSIDE = [LOAD, PACK, FLIP, dict(type='Last')]
LOADED = [LOAD, FLIP, dict(type='LoadAnnotations'), PACK]
TTA = [LOAD, dict(type='TestTimeAug', transforms=[[FLIP, FLIP], [PACK]])]

TWICE = dict(ratio=2)
PACKED_ONLY = [dict(type='PackInputs')]  # of MMPretrain's CIFAR

TTA_LOADED = [LOAD, dict(type='TestTimeAug', transforms=[[FLIP], LOADED[2:3], [PACK]])]


def low(views: list[str] | None) -> dict:
    return dict(type='LowResolution', ratio=2, **(dict(views=views) if views else {}))


@pytest.mark.parametrize('views, name', [(['hr'], 'mmdet.PackDetInputs'), (None, 'PackPaired')])
def test_views_come_directly_before_packing(views, name):
    arguments = (TWICE, *([views] if views else []))
    *before, view, pack = with_views(LAST, *arguments)
    assert before == LAST[:-1] and view == low(views)
    assert pack == dict(PACK, type=name if views else 'PackPairedDetInputs')
    inside = with_views(INSIDE, *arguments)
    assert inside == [LOAD, view, pack, *INSIDE[2:]]
    if views:
        groups = with_views(TTA, *arguments)[1]['transforms']
        assert groups == [[FLIP, FLIP], [low(views)], [PACK]]


def test_each_library_has_its_own_packing():
    *_, view, pack = with_views([LOAD, dict(type='PackInputs', meta_keys=('flip',))], TWICE)
    assert view == low(None) and pack == dict(type='PackPairedInputs', meta_keys=('flip',))


def test_annotations_that_are_loaded_last_stay_in_pixels_of_the_file():
    assert with_views(LOADED, TWICE, ['lr']) == [*LOADED[:3], low(['lr']), PACK]
    found = with_views(LOADED, TWICE, ['lr'], testing=True)
    assert found == [*LOADED[:2], low(['lr']), LOADED[2], PACK_SCALE]
    groups = with_views(TTA_LOADED, TWICE, ['lr'], testing=True)[1]['transforms']
    assert groups == [[FLIP], [low(['lr'])], LOADED[2:3], [PACK_SCALE]]


def test_a_scale_that_is_packed_is_not_packed_twice():
    for pack in (PACK_SCALE, dict(type='PackDetInputs'), dict(type='PackInputs', meta_keys=())):
        assert with_views([LOAD, pack], TWICE, ['lr'], testing=True) == [LOAD, low(['lr']), pack]
    assert with_views([LOAD, PACK], TWICE, ['lr']) == [LOAD, low(['lr']), PACK]  # for training


@pytest.mark.parametrize('pipeline', [LAST, LOADED, INSIDE, TTA, TTA_LOADED, PACKED_ONLY])
@pytest.mark.parametrize('added', [0, 1])
@pytest.mark.parametrize('testing', [False, True])
def test_in_terms_of_the_base_it_is_the_same(pipeline, added, testing, tmp_path):
    base = with_views(pipeline, TWICE, ['lr'], testing) if added else pipeline
    (tmp_path / 'base.py').write_text(config_text('Base.', dict(one=base)))
    said = dict(_base_='./base.py', one=derived('one', pipeline, TWICE, ['hr'], testing, added))
    if not testing and pipeline not in (TTA, TTA_LOADED):  # which are for testing
        said['two'] = derived('one', pipeline, TWICE, added=added)
    (tmp_path / 'new.py').write_text(config_text('New.', said))
    cfg = Config.fromfile(tmp_path / 'new.py')
    assert cfg.one == with_views(pipeline, TWICE, ['hr'], testing)
    assert 'two' not in said or cfg.two == with_views(pipeline, TWICE)


def test_boxes_for_testing_are_those_of_the_stock_pipeline(tmp_path):
    cv2.imwrite(str(tmp_path / 'image.png'), np.zeros((60, 80, 3), np.uint8))
    box = dict(bbox=[8, 16, 40, 48], bbox_label=0, ignore_flag=0)
    image = dict(img_path=str(tmp_path / 'image.png'), instances=[box])
    resize = dict(type='Resize', scale=(160, 120), keep_ratio=True)
    load = dict(type='LoadAnnotations', with_bbox=True)
    pack = dict(type='PackDetInputs', meta_keys=('img_shape', 'scale_factor'))
    for pipeline, wanted in (
        ([LOAD, resize, load, pack], [8, 16, 40, 48]),
        ([LOAD, load, resize, pack], [8, 16, 40, 48]),  # of the small image, half as large
    ):
        found = Compose(with_views(pipeline, TWICE, ['lr'], testing=True))(dict(image))[
            'data_samples'
        ]
        assert found.gt_instances.bboxes.tensor.tolist() == [wanted]
        assert found.img_shape == (60, 80) and found.scale_factor == (1, 1)


def test_packing_pipelines():
    assert all(map(is_packing, (LAST, INSIDE, TTA)))
    assert not any(map(is_packing, ([], [LOAD, FLIP], ['PackDetInputs'], PACK, 'PackDetInputs')))


def loader(pipeline: list) -> dict:
    return dict(dataset=dict(type='RepeatDataset', dataset=dict(pipeline=pipeline)))


def test_names_are_those_of_the_config_where_it_has_some():
    cfg = ConfigDict(
        mine=LAST, train_dataloader=loader(LAST), val_dataloader=loader(INSIDE), tta_pipeline=TTA
    )
    data = Pipelines(cfg)
    assert data.train == dict(mine=LAST)
    assert data.test == dict(val_pipeline=INSIDE, tta_pipeline=TTA)


def test_training_and_testing_never_share_a_name():
    data = Pipelines(
        ConfigDict(mine=LAST, **{f'{split}_dataloader': loader(LAST) for split in ('train', 'val')})
    )
    assert list(data.train) == ['mine'] and list(data.test) == ['val_pipeline']


def test_each_pipeline_of_several_has_a_name():
    datasets = [dict(pipeline=pipeline) for pipeline in (LAST, INSIDE, LAST)]
    hooks = [dict(type='PipelineSwitchHook', switch_pipeline=INSIDE), dict(type='EMAHook')]
    test = dict(test_dataloader=loader(LAST), val_dataloader=loader(LAST), custom_hooks=hooks[::-1])
    data = Pipelines(ConfigDict(train_dataloader=dict(dataset=dict(datasets=datasets)), **test))
    assert data.train == dict(train_pipeline=LAST, train_pipeline_2=INSIDE)
    assert data.test == dict(test_pipeline=LAST)
    (hook,) = data.hooks().values()
    assert hook.values == dict(switch_pipeline='train_pipeline_2')
    assert data.loaders()['test_dataloader'] == 'val_dataloader'
