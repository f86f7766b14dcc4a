import hashlib
import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from tests.helpers import ROOT
from tests.helpers.commands import run_here

SCRIPT = ROOT / 'tools' / 'dataset_converters' / 'make_glyphs.py'


def run(*args: object) -> CompletedProcess:
    return run_here(SCRIPT, *args)


def make(out: Path, train: int = 6, val: int = 4, size: int = 128, seed: int = 0) -> Path:
    result = run('--out', out, '--train', train, '--val', val, '--size', size, '--seed', seed)
    assert result.returncode == 0, result.stderr
    return out


def make_singles(out: Path, *options: object) -> Path:
    result = run('--task', 'classification', '--out', out, *options)
    assert result.returncode == 0, result.stderr
    return out


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob('*') if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def annotations(folder: Path, split: str) -> dict:
    return json.loads((folder / 'annotations' / f'{split}.json').read_text())


@pytest.fixture(scope='module')
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp('data') / 'glyphs', train=60, val=10, size=160)


@pytest.fixture(scope='module')
def singles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classification set; fewer validation images than classes."""
    out = tmp_path_factory.mktemp('data') / 'glyphs_cls'
    return make_singles(out, '--train', 80, '--val', 15)


def test_same_seed_gives_the_same_bytes(tmp_path):
    one, two = make(tmp_path / 'one'), make(tmp_path / 'two')
    assert len(hashes(one)) == 6 + 4 + 2
    assert hashes(one) == hashes(two)


def test_another_seed_gives_other_images(tmp_path):
    one, two = hashes(make(tmp_path / 'one')), hashes(make(tmp_path / 'two', seed=1))
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())


def test_images_do_not_depend_on_the_count(tmp_path):
    few, many = hashes(make(tmp_path / 'few')), hashes(make(tmp_path / 'many', train=9, val=5))
    assert all(many[name] == few[name] for name in few if name.endswith('.png'))


def test_splits_and_images_all_differ(glyphs):
    values = list(hashes(glyphs).values())
    assert len(set(values)) == len(values)


def test_annotations_are_coco(glyphs):
    for split, count in dict(train=60, val=10).items():
        content = annotations(glyphs, split)
        assert len(content['images']) == count
        assert [c['id'] for c in content['categories']] == list(range(1, 11))
        assert len({a['id'] for a in content['annotations']}) == len(content['annotations'])
        for image in content['images']:
            pixels = cv2.imread(str(glyphs / split / image['file_name']))
            assert pixels.shape == (image['height'], image['width'], 3) == (160, 160, 3)
        for ann in content['annotations']:
            x, y, w, h = ann['bbox']
            assert 0 <= x < x + w <= 160 and 0 <= y < y + h <= 160
            assert ann['area'] == pytest.approx(w * h, abs=0.01)
            assert ann['iscrowd'] == 0 and 1 <= ann['category_id'] <= 10


def test_statistics_are_those_asked_for(glyphs):
    content = annotations(glyphs, 'train')
    per_image = np.bincount([a['image_id'] for a in content['annotations']], minlength=60)
    assert per_image.max() <= 10 and set(per_image[per_image < 4]) <= {0}
    heights = np.array([a['bbox'][3] for a in content['annotations']])
    # A letter of height 14 to 32, turned by at most 25 degrees.
    assert heights.min() >= 12 and heights.max() <= 42 and 17 < np.median(heights) < 25
    assert {a['category_id'] for a in content['annotations']} == set(range(1, 11))


def test_boxes_hardly_overlap(glyphs):
    for image in annotations(glyphs, 'train')['images']:
        boxes = [
            a['bbox']
            for a in annotations(glyphs, 'train')['annotations']
            if a['image_id'] == image['id']
        ]
        for i, (x, y, w, h) in enumerate(boxes):
            for u, v, s, t in boxes[:i]:
                assert min(x + w, u + s) <= max(x, u) or min(y + h, v + t) <= max(y, v)


def test_boxes_are_tight_around_what_was_painted(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import glyph_drawing

    monkeypatch.setattr(glyph_drawing, 'OCCLUDED_SHARE', 0)
    grey = np.full((160, 160, 3), 128, np.float32)
    for seed in range(10):
        image = grey.copy()
        objects = glyph_drawing.draw_glyphs(np.random.default_rng(seed), image, [])
        painted = (np.abs(image - grey).max(2) > 0).astype(np.uint8)
        inside = np.zeros_like(painted)
        for _, (x, y, w, h) in objects:
            left, top = int(np.floor(x)), int(np.floor(y))
            right, bottom = int(np.ceil(x + w)), int(np.ceil(y + h))
            inside[top:bottom, left:right] = 1
            crop = painted[top:bottom, left:right]
            assert cv2.boundingRect(crop) == (0, 0, right - left, bottom - top)
        assert not (painted & ~inside & 1).any()


def test_same_options_again_change_nothing(glyphs):
    before = {p: p.stat().st_mtime_ns for p in glyphs.rglob('*')}
    result = run('--out', glyphs, '--train', 60, '--val', 10)
    assert result.returncode == 0 and 'already holds this data' in result.stdout
    assert {p: p.stat().st_mtime_ns for p in glyphs.rglob('*')} == before


@pytest.mark.parametrize('options', [('--seed', 1), ('--size', 128), ('--train', 59)])
def test_other_options_are_refused(glyphs, options):
    before = hashes(glyphs)
    defaults = ['--train', 60, '--val', 10]
    result = run('--out', glyphs, *defaults, *options)
    assert result.returncode != 0 and str(glyphs) in result.stderr
    assert hashes(glyphs) == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    result = run('--out', tmp_path, '--train', 1, '--val', 1)
    assert result.returncode != 0 and 'something else' in result.stderr
    assert os.listdir(tmp_path) == ['mine.txt']


def test_data_with_a_missing_image_is_refused(tmp_path):
    out = make(tmp_path / 'glyphs')
    (out / 'val' / '000003.png').unlink()
    result = run('--out', out, '--train', 6, '--val', 4, '--size', 128)
    assert result.returncode != 0 and not (out / 'val' / '000003.png').exists()


@pytest.mark.parametrize('option', ['--seed', '--train', '--val', '--size'])
def test_bad_numbers_are_refused(tmp_path, option):
    result = run('--out', tmp_path / 'glyphs', option, -1)
    assert result.returncode != 0 and f'{option} is -1' in result.stderr
    assert not os.listdir(tmp_path)


def test_preview_is_written_once(glyphs, tmp_path):
    sheet = tmp_path / 'sheet.png'
    options = ['--out', glyphs, '--train', 60, '--val', 10, '--preview', sheet]
    assert run(*options).returncode == 0
    assert cv2.imread(str(sheet)).shape == (2 * 484, 3 * 484, 3)
    before = sheet.read_bytes()
    result = run(*options)
    assert result.returncode != 0 and str(sheet) in result.stderr
    assert sheet.read_bytes() == before


def test_dataset_config_reads_the_data(glyphs, monkeypatch):
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    register_all_modules()
    cfg = Config.fromfile(str(ROOT / 'configs' / '_base_' / 'datasets' / 'glyphs_detection.py'))
    content = annotations(glyphs, 'train')
    names = tuple(c['name'] for c in content['categories'])
    assert tuple(cfg.metainfo.classes) == names and len(cfg.metainfo.palette) == 10
    assert cfg.val_evaluator.ann_file == f'{glyphs}/annotations/val.json'

    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 60  # Images without objects stay.
    for index in range(5):
        sample = dataset[index]
        truth = [a for a in content['annotations'] if a['image_id'] == index]
        instances = sample['data_samples'].gt_instances
        assert tuple(sample['inputs'].shape) == (3, 160, 160)
        assert [names[i] for i in instances.labels] == [names[a['category_id'] - 1] for a in truth]
        xywh = np.array([a['bbox'] for a in truth]).reshape(-1, 4)
        xyxy = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        assert np.allclose(instances.bboxes.tensor.numpy(), xyxy, atol=1e-4)
    assert len(DATASETS.build(cfg.val_dataloader.dataset)) == 10


def test_singles_have_the_same_bytes_whatever_the_count(singles, tmp_path):
    known = hashes(singles)
    fewer = hashes(make_singles(tmp_path / 'fewer', '--train', 30, '--val', 5))
    assert len(known) == 80 + 15 + 1 and len(fewer) == 30 + 5 + 1
    assert all(known[name] == fewer[name] for name in fewer if name.endswith('.png'))
    other = hashes(make_singles(tmp_path / 'other', '--train', 30, '--val', 5, '--seed', 1))
    assert other.keys() == fewer.keys() and not set(other.values()) & set(fewer.values())


def test_singles_all_differ(singles, glyphs):
    values = [*hashes(singles).values(), *hashes(glyphs).values()]
    assert len(set(values)) == len(values)
    assert all(cv2.imread(str(file)).shape == (64, 64, 3) for file in singles.rglob('*.png'))


def test_mmpretrain_reads_the_singles(singles):
    CustomDataset = pytest.importorskip('mmpretrain.datasets').CustomDataset
    train, val = (
        CustomDataset(data_root=str(singles), data_prefix=split, pipeline=[])
        for split in ('train', 'val')
    )
    classes = train.metainfo['classes']
    accents = ('', '-acute', '-dot', '-grave')
    assert sorted(classes) == sorted(a + b for a in 'OQCGEF1I7T' for b in accents)
    # Few as they are, validation images have the labels that training gives them.
    assert val.metainfo['classes'] == classes and len(val) == 15
    for dataset in (train, val):
        for item in dataset:
            assert Path(item['img_path']).parent.name == classes[item['gt_label']]
    assert (np.bincount(train.get_gt_labels()) == 2).all()


def test_single_glyphs_lie_whole_near_the_middle(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import glyph_drawing

    boxes = []

    def note(*args):
        boxes.append(paint_glyph(*args))
        return boxes[-1]

    paint_glyph = glyph_drawing.paint_glyph
    monkeypatch.setattr(glyph_drawing, 'paint_glyph', note)
    for index, strokes in enumerate(glyph_drawing.ACCENTED.values()):
        glyph_drawing.render_single(np.random.default_rng(index), strokes, 64)
    boxes = np.array(boxes)
    assert (boxes[:, :2] > 0).all() and (boxes[:, :2] + boxes[:, 2:] < 64).all()
    assert (np.abs(boxes[:, :2] + boxes[:, 2:] / 2 - 32) <= 5).all()


def test_singles_again_change_nothing(singles):
    before = {p: p.stat().st_mtime_ns for p in singles.rglob('*')}
    result = run(
        '--task', 'classification', '--out', singles, '--train', 80, '--val', 15, '--size', 64
    )
    assert result.returncode == 0 and 'already holds this data' in result.stdout
    assert {p: p.stat().st_mtime_ns for p in singles.rglob('*')} == before


@pytest.mark.parametrize('options', [('--seed', 1), ('--size', 80), ('--task', 'detection')])
def test_singles_of_other_options_are_refused(singles, options):
    before = hashes(singles)
    defaults = ['--task', 'classification', '--train', 80, '--val', 15]
    result = run('--out', singles, *defaults, *options)
    assert result.returncode != 0 and str(singles) in result.stderr
    assert hashes(singles) == before


def test_singles_with_a_missing_image_are_refused(tmp_path):
    out = make_singles(tmp_path / 'glyphs_cls', '--train', 2, '--val', 1)
    (out / 'train' / 'Q' / '000001.png').unlink()
    result = run('--task', 'classification', '--out', out, '--train', 2, '--val', 1)
    assert result.returncode != 0 and not (out / 'train' / 'Q' / '000001.png').exists()


def test_preview_of_singles_shows_three_sizes(singles, tmp_path):
    sheet = tmp_path / 'sheet.png'
    make_singles(singles, '--train', 80, '--val', 15, '--preview', sheet)
    assert cv2.imread(str(sheet)).shape == (4 * (3 * 64 + 4), 3 * (9 * 64 + 4), 3)
