import os
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.commands import run_here

SCRIPT = ROOT / 'tools' / 'dataset_converters' / 'crop_bccd.py'
OBJECT = (
    '<object><name>{}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>'
    '<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>'
)
# One-based and inclusive, as VOC writes them: a square, a wide one, one at the image's corner.
BOXES = [('RBC', 11, 11, 31, 31), ('WBC', 41, 21, 81, 31), ('Platelets', 1, 1, 11, 11)]
WITHOUT_AREA = ('RBC', 50, 50, 50, 50)


def run(*args: object) -> CompletedProcess:
    return run_here(SCRIPT, *args)


def write_image(root: Path, name: str, boxes: list[tuple]) -> None:
    """A photograph of 60 rows and 100 columns, whose blue counts columns and whose green rows."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(100), np.arange(60)[:, None]
    _, data = cv2.imencode('.png', pixels)  # Exact; decoders go by content, not by name.
    (root / 'JPEGImages' / f'{name}.jpg').write_bytes(data)
    objects = ''.join(OBJECT.format(*box) for box in boxes)
    size = '<size><width>100</width><height>60</height></size>'
    xml = f'<annotation>{size}{objects}</annotation>'
    (root / 'Annotations' / f'{name}.xml').write_text(xml)


@pytest.fixture
def bccd(tmp_path: Path) -> Path:
    root = tmp_path / 'bccd'
    for name in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (root / name).mkdir(parents=True)
    write_image(root, 'one', [*BOXES, WITHOUT_AREA, BOXES[0]])
    write_image(root, 'two', BOXES)
    (root / 'ImageSets/Main/trainval.txt').write_text('one\n')
    (root / 'ImageSets/Main/test.txt').write_text('two\n')
    return root


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()}


def test_cells_lie_in_their_classes_and_splits(bccd, tmp_path, monkeypatch):
    out = tmp_path / 'cells'
    logged = Mock()
    monkeypatch.setattr('pd_mmdet.datasets.bccd.print_log', logged)
    result = run('--root', bccd, '--out', out)
    assert result.returncode == 0, result.stderr
    assert files(out) == {
        'train/RBC/one_00.png',
        'train/RBC/one_03.png',
        'train/WBC/one_01.png',
        'train/Platelets/one_02.png',
        'test/RBC/two_00.png',
        'test/WBC/two_01.png',
        'test/Platelets/two_02.png',
    }
    assert all(cv2.imread(str(out / name)).shape == (112, 112, 3) for name in files(out))
    assert 'one.xml: dropped 1 box without area' in logged.call_args.args[0]
    assert '2 RBC, 1 WBC, 1 Platelets' in result.stdout and str(out) in result.stdout


def test_crops_are_squares_around_their_boxes(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from crop_bccd import crop

    image = np.zeros((60, 100, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(100), np.arange(60)[:, None]

    def columns_and_rows(box, context, size):
        pixels = crop(image, box, context, size)
        return pixels[0, :, 0].tolist(), pixels[:, 0, 1].tolist()

    inside = list(range(10, 30))
    assert columns_and_rows([10, 10, 30, 30], 0, 20) == (inside, inside)
    around = list(range(8, 32))  # A tenth of 20 pixels on each side.
    assert columns_and_rows([10, 10, 30, 30], 0.1, 24) == (around, around)
    wide = list(range(40, 80)), list(range(5, 45))  # 40×10 becomes 40×40 around its centre.
    assert columns_and_rows([40, 20, 80, 30], 0, 40) == wide
    beyond = [0, *range(11)]  # The edge is repeated.
    assert columns_and_rows([0, 0, 10, 10], 0.1, 12) == (beyond, beyond)
    beyond = [*range(89, 100), 99], [*range(49, 60), 59]
    assert columns_and_rows([90, 50, 100, 60], 0.1, 12) == beyond


def test_mmpretrain_reads_the_cells(bccd, tmp_path):
    CustomDataset = pytest.importorskip('mmpretrain.datasets').CustomDataset
    out = tmp_path / 'cells'
    assert run('--root', bccd, '--out', out).returncode == 0
    dataset = CustomDataset(data_root=str(out), data_prefix='test', pipeline=[])
    assert dataset.metainfo['classes'] == ('Platelets', 'RBC', 'WBC')
    found = {Path(item['img_path']).name: item['gt_label'] for item in dataset}
    assert found == {'two_02.png': 0, 'two_00.png': 1, 'two_01.png': 2}


def test_nothing_is_overwritten(bccd, tmp_path):
    out = tmp_path / 'cells'
    out.mkdir()
    (out / 'mine.txt').write_text('mine')
    result = run('--root', bccd, '--out', out)
    assert result.returncode != 0 and f'--out {out}' in result.stderr
    assert files(out) == {'mine.txt'}


def remove_folder(root: Path) -> None:
    (root / 'JPEGImages').rename(root / 'Pictures')


def remove_image(root: Path) -> None:
    (root / 'JPEGImages' / 'two.jpg').unlink()


def damage_image(root: Path) -> None:
    (root / 'JPEGImages' / 'two.jpg').write_bytes(b'not an image')


def shrink_image(root: Path) -> None:
    cv2.imwrite(str(root / 'JPEGImages' / 'two.jpg'), np.zeros((30, 50, 3), np.uint8))


def remove_annotation(root: Path) -> None:
    (root / 'Annotations' / 'two.xml').unlink()


def remove_list(root: Path) -> None:
    (root / 'ImageSets' / 'Main' / 'test.txt').unlink()


def rename_class(root: Path) -> None:
    write_image(root, 'two', [*BOXES[:2], ('Thrombocytes', 1, 1, 11, 11)])


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (remove_folder, 'has no folder JPEGImages'),
        (remove_image, 'two.jpg, which test.txt lists'),
        (damage_image, 'two.jpg is not an image'),
        (shrink_image, 'the boxes do not fit it'),
        (remove_annotation, 'two.xml'),
        (remove_list, 'test.txt'),
        (rename_class, 'no box of Platelets in the annotations of test'),
    ],
)
def test_bad_data_is_named_and_leaves_nothing(bccd, tmp_path, monkeypatch, spoil, message):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from crop_bccd import make

    spoil(bccd)
    with pytest.raises((OSError, ValueError), match=message):
        make(bccd, tmp_path / 'cells', 0.1, 16)
    assert [p.name for p in tmp_path.iterdir()] == ['bccd']


@pytest.mark.parametrize('option', [('--size', '4'), ('--context', '-0.5'), ('--root', 'nowhere')])
def test_bad_options_are_refused(bccd, tmp_path, option):
    result = run('--root', bccd, '--out', tmp_path / 'cells', *option)
    assert result.returncode != 0 and ' '.join(option[:1]) in result.stderr
    assert option[1] in result.stderr and not (tmp_path / 'cells').exists()


def test_the_real_data(tmp_path):
    root = Path(os.environ.get('BCCD_ROOT', 'data/bccd'))
    if not root.is_dir():
        pytest.skip(f'BCCD is not at {root}: set BCCD_ROOT')
    out = tmp_path / 'cells'
    assert run('--root', root, '--out', out, '--size', 8).returncode == 0
    counts = Counter(tuple(Path(name).parts[:2]) for name in files(out))
    # 4888 boxes, of which two have no area.
    assert sum(counts.values()) == 4886 and len(counts) == 6
