from pathlib import Path

import pytest

from pd_mmdet.workbench.load_config import load_config

DATASET = """
data_root = (
    '{{$PD_TEST_ROOT:data/nowhere}}/'
)
max_epochs = 3
image_size = (64, 64)
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=image_size)]
train_dataloader = dict(
    num_workers=3,
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=pipeline))
val_dataloader = dict(
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/')))
test_dataloader = val_dataloader
"""
RECIPE = """
_base_ = './dataset.py'
ratio = 2
model = dict(type='RetinaNet', ratio=ratio)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=_base_.max_epochs)
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / 'dataset.py').write_text(DATASET)
    (tmp_path / 'recipe.py').write_text(RECIPE)
    return tmp_path / 'recipe.py'


@pytest.fixture
def data(tmp_path: Path, monkeypatch) -> Path:
    root = tmp_path / 'data'
    for split in ('train', 'val'):
        (root / split).mkdir(parents=True)
        (root / 'annotations').mkdir(exist_ok=True)
        (root / f'annotations/{split}.json').touch()
    monkeypatch.setenv('PD_TEST_ROOT', str(root))
    return root


def test_overrides_that_work(recipe, data):
    options = {
        'train_cfg.max_epochs': 5,
        'train_dataloader.dataset.pipeline.1.scale': (32, 32),
        'randomness.seed': 1,
        'find_unused_parameters': True,
        'work_dir': 'elsewhere',
    }
    cfg = load_config(recipe, options)
    assert cfg.train_cfg.max_epochs == 5
    assert cfg.train_dataloader.dataset.pipeline[1].scale == (32, 32)
    assert cfg.randomness.seed == 1 and cfg.find_unused_parameters and cfg.work_dir == 'elsewhere'


@pytest.mark.parametrize(
    'key, value, told',
    [
        ('data_root', '/x/', ['dataset.py', 'PD_TEST_ROOT', 'train_dataloader.dataset.data_root']),
        ('max_epochs', 9, ['dataset.py', '; override train_cfg.max_epochs, or change']),
        ('ratio', 4, ['recipe.py', 'model.ratio']),
        ('image_size', (9, 9), ['dataset.py', 'train_dataloader.dataset.pipeline.1.scale']),
        ('pipeline.1.scale', (9, 9), ['dataset.py', 'train_dataloader.dataset.pipeline,']),
        ('trian_cfg.max_epochs', 9, ['trian_cfg.max_epochs', 'neither']),
    ],
)
def test_overrides_that_would_change_nothing(recipe, data, key, value, told):
    with pytest.raises(ValueError) as error:
        load_config(recipe, {key: value})
    for part in [f'--cfg-options {key}={value!r}', *told]:
        assert part in str(error.value)


def test_a_variable_set_again_is_named_where_it_was_set_last(recipe, data):
    recipe.write_text(RECIPE + 'max_epochs = 4\n')
    with pytest.raises(ValueError, match=r'change it in \S*recipe\.py'):
        load_config(recipe, {'max_epochs': 9})


def test_missing_config(tmp_path, recipe, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / 'recepi.py')):
        load_config('recepi.py')
    with pytest.raises(FileNotFoundError, match='a folder that has dataset.py, recipe.py'):
        load_config(tmp_path)


def test_missing_root_names_place_and_hint(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load_config(recipe)
    assert 'train_dataloader.dataset.data_root' in str(error.value)
    assert str(tmp_path / 'data/nowhere') in str(error.value)

    recipe.write_text(RECIPE + "data_hint = 'run make_nowhere.py'\n")
    with pytest.raises(FileNotFoundError, match=r'; run make_nowhere\.py'):
        load_config(recipe)


@pytest.mark.parametrize('missing', ['annotations/val.json', 'val'])
def test_missing_parts_of_a_dataset(recipe, data, missing):
    path = data / missing
    path.rmdir() if path.is_dir() else path.unlink()
    assert load_config(recipe, splits=['train'])
    for split in ('val', 'test'):
        with pytest.raises(FileNotFoundError, match=f'{split}_dataloader.*{path}'):
            load_config(recipe, splits=[split])


def test_a_dataset_may_be_named_by_an_override(recipe, data):
    options = {'train_dataloader.dataset.ann_file': 'annotations/mine.json'}
    with pytest.raises(FileNotFoundError, match=str(data / 'annotations/mine.json')):
        load_config(recipe, options)
    (data / 'annotations/mine.json').touch()
    assert load_config(recipe, options)


def test_wrapped_datasets_are_looked_into(recipe, data):
    options = {
        'train_dataloader.dataset': dict(
            _delete_=True,
            type='RepeatDataset',
            times=2,
            dataset=dict(
                type='ConcatDataset',
                datasets=[
                    dict(type='VOCDataset', data_root=str(data)),
                    dict(type='VOCDataset', ann_file=str(data / 'missing.txt')),
                ],
            ),
        )
    }
    with pytest.raises(FileNotFoundError) as error:
        load_config(recipe, options)
    assert 'train_dataloader.dataset.dataset.datasets.1.ann_file' in str(error.value)


def test_data_elsewhere_are_not_looked_for(recipe, data):
    elsewhere = dict(data_root='s3://bucket/coco/', backend_args=dict(backend='petrel'))
    assert load_config(recipe, {f'train_dataloader.dataset.{k}': v for k, v in elsewhere.items()})
    prefix = {'train_dataloader.dataset.data_prefix.img': 'https://host/images/'}
    assert load_config(recipe, {**prefix, 'train_dataloader.dataset.data_root': None}, splits=[])
