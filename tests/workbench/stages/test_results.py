import json

import pytest
from mmengine.config import Config

from pd_mmdet.transforms import LowResolution
from pd_mmdet.workbench.stages import results as report
from pd_mmdet.workbench.tasks.detection import AP_NAMES, NOTES

ROW = dict(
    **dict(zip(AP_NAMES, [0.312, 0.5, 0.25, 0.1, 0.4, -1.0])),
    name='student',
    view='lr',
    parameters=1_020_660,
    flops=172_422_400,
    image_side=[80, 60],
    iterations=4000,
    seed=1,
    seconds=12.5,
    checkpoint='student/iter_4000.pth',
)


@pytest.mark.parametrize('ratio, written', [(2, '2'), ('3/2', '1.5'), (1.25, '1.25')])
def test_files_and_table(tmp_path, ratio, written):
    rows = [dict(ROW, name='teacher', iterations=None), ROW]
    content = report.results(tmp_path, Config(dict(model=dict(ratio=ratio))), rows)
    screen = report.write(content, NOTES, tmp_path)
    read = json.loads((tmp_path / 'results.json').read_text())
    assert read == content and read['rows'] == rows
    assert f'"ratio": {written},' in (tmp_path / 'results.json').read_text()
    markdown = (tmp_path / 'results.md').read_text()
    cells = 'student 80×60 31.2 50.0 25.0 10.0 40.0 – 1.02 M 0.172 G 4000'
    for text in (markdown, screen):
        lines = [' '.join(line.replace('|', ' ').split()) for line in text.splitlines()]
        assert cells in lines and cells.replace('student', 'teacher').replace('4000', '–') in lines
    assert all(f'{part} ' in markdown for part in read['environment'])
    assert NOTES in markdown and NOTES in screen


@pytest.mark.parametrize(
    'options, ratio, enlarge, title',
    [
        (dict(ratio=2), 2, 1, 'ratio 2'),
        (dict(ratio=4, enlarge='8/3'), 4, pytest.approx(8 / 3), 'ratio 4, enlarge 2.66'),
        (dict(ratio=2, enlarge=2), 2, 2, 'ratio 2, enlarge 2'),
    ],
)
def test_the_ratio_is_that_of_the_files(tmp_path, options, ratio, enlarge, title):
    """The distiller knows the ratio of the views only."""
    low = LowResolution(**options)
    pipeline = [dict(type='LowResolution', **options)]
    data = dict(dataset=dict(type='RepeatDataset', dataset=dict(pipeline=pipeline)))
    cfg = Config(dict(model=dict(ratio=str(low.view_ratio)), train_dataloader=data))
    content = report.results(tmp_path, cfg, [ROW])
    assert content['ratio'] == ratio and content['enlarge'] == enlarge
    assert f'{tmp_path.name}, {title}' in report.write(content, NOTES, tmp_path).splitlines()[0]


def test_table_of_classifiers():
    row = dict(
        name='student', image_side=[32, 32], top1=0.5, top5=-1.0, balanced=0.25, parameters=44_500
    )
    runs = [dict(row, flops=4_310_000, iterations=500, epochs=5), dict(row, top1=0.54)]
    assert report.table([runs]) == [
        *[('stage', 'image', 'top-1', 'top-5', 'balanced', 'parameters', 'FLOPs', 'epochs')],
        ('student', '32×32', '52.0 ± 2.8', '–', '25.0 ± 0.0', '44.5 k', '4.31 M', '5'),
    ]


def test_percent_is_mean_and_deviation():
    assert report.percent([0.50, 0.52, 0.54]) == '52.0 ± 2.0'
    assert report.percent([0.5]) == '50.0'
    assert report.percent([0.0]) == '0.0'
    assert report.percent([-1.0, -1.0]) == '–'
    assert report.percent([None]) == report.percent([0.5, None]) == '–'


def test_what_was_not_measured_is_null_and_a_dash(tmp_path):
    row = ROW | dict(bbox_mAP=None, bbox_mAP_s=0.0)
    content = report.results(tmp_path, Config(dict(model=dict(ratio=2))), [row])
    report.write(content, NOTES, tmp_path)
    written = (tmp_path / 'results.json').read_text()
    assert '"bbox_mAP": null' in written and '"bbox_mAP_s": 0.0' in written
    line = (tmp_path / 'results.md').read_text().splitlines()[4]
    assert line.replace('|', ' ').split()[:8] == [
        *('student', '80×60', '–', '50.0', '25.0', '0.0', '40.0', '–')
    ]


def sets_of(row: dict, **sets: list[float | None]) -> dict:
    """A row with AP and AP50 on several sets."""
    plain = {key: value for key, value in row.items() if not key.startswith('bbox_')}
    return plain | {
        f'{name}/{key}': value
        for name, values in sets.items()
        for key, value in zip(AP_NAMES, values)
    }


def test_a_line_for_each_set(tmp_path):
    """All stages on one set, then all on the next; a stage that was not measured on one, too."""
    rows = [
        sets_of(ROW, day=[0.5, 0.75], night=[0.25, None]) | dict(name='teacher'),
        sets_of(ROW, day=[0.4, 0.625]),
    ]
    cells = report.table([[row] for row in rows])
    assert [line[:5] for line in cells] == [
        ('stage', 'set', 'image', 'AP', 'AP50'),
        ('teacher', 'day', '80×60', '50.0', '75.0'),
        ('student', 'day', '80×60', '40.0', '62.5'),
        ('teacher', 'night', '80×60', '25.0', '–'),
        ('student', 'night', '80×60', '–', '–'),
    ]
    content = report.results(tmp_path, Config(dict(model=dict(ratio=2))), rows)
    assert report.SETS in report.write(content, NOTES, tmp_path)


@pytest.mark.parametrize(
    'count, text',
    [
        (99, '99'),
        (1_020_660, '1.02 M'),
        (172_422_400, '0.172 G'),
        (99_940_000, '99.9 M'),
        (99_990_000, '0.100 G'),
    ],
)
def test_three_digits(count, text):
    assert report.three_digits(count) == text
