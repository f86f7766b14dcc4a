import csv
import json

import pytest
from mmengine.config import Config

from pd_mmdet.workbench.costs import cost_report as report
from pd_mmdet.workbench.costs.cost_report import Entry, Options

COSTS = dict(
    view='lr',
    parameters=1000,
    flops=2000,
    image_side=[80, 60],
    latency_ms=1.25,
    images_per_second_4=100.0,
    memory_mb=None,
    png=1500.0,
)
OPTIONS = Options([4], rounds=1, jpeg_qualities=[], images=1, device='cpu')


@pytest.mark.parametrize(
    'scores, titles, cells',
    [
        (dict(bbox_mAP=0.5), ['AP'], ['50.0']),
        (dict(bbox_mAP=0.0), ['AP'], ['0.0']),
        (dict(bbox_mAP=None, bbox_mAP_50=0.5), ['AP'], ['–']),
        (dict(bbox_mAP=-1.0), ['AP'], ['–']),
        (dict(top1=0.5), ['top-1'], ['50.0']),
        ({'day/bbox_mAP': 0.5, 'night/bbox_mAP': None}, ['AP, day', 'AP, night'], ['50.0', '–']),
    ],
)
def test_scores_of_each_set(scores, titles, cells):
    header, scored, other = report.table([dict(COSTS, name='a', **scores), dict(COSTS, name='b')])
    assert list(header[2:-6]) == titles and header[-6] == 'parameters'
    assert list(scored[2:-6]) == cells and list(other[2:-6]) == ['–'] * len(cells)


def test_what_was_not_measured_is_null_and_an_empty_cell(tmp_path):
    rows = [dict(COSTS, name='a', bbox_mAP=None), dict(COSTS, name='b', bbox_mAP=0.0)]
    entries = [Entry(row['name'], Config(dict()), None) for row in rows]
    screen = report.write(rows, entries, OPTIONS, tmp_path)
    assert json.loads((tmp_path / 'costs.json').read_text())['rows'] == rows
    with (tmp_path / 'costs.csv').open() as file:
        assert [row['bbox_mAP'] for row in csv.DictReader(file)] == ['', '0.0']
    for text in (screen, (tmp_path / 'costs.md').read_text()):
        lines = [line.replace('|', ' ').split() for line in text.splitlines()]
        assert {tuple(line[:3]) for line in lines} >= {('a', '80×60', '–'), ('b', '80×60', '0.0')}
