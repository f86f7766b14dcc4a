import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location('summarize', ROOT / 'benchmarks' / 'summarize.py')
summarize = importlib.util.module_from_spec(spec)
spec.loader.exec_module(summarize)


def test_table_over_seeds():
    row = dict(
        name='student', image_side=[32, 32], top1=0.5, top5=0.9, balanced=0.5, parameters=44_500
    )
    runs = [
        dict(rows=[dict(row, flops=10**6, iterations=500, seed=seed, top1=top1)])
        for seed, top1 in ((1, 0.50), (2, 0.52), (3, 0.54))
    ]
    header, rule, line, _, seeds = summarize.table(runs).splitlines()
    assert header == (
        '| stage | image | top-1 | top-5 | balanced | parameters | FLOPs | iterations |'
    )
    assert rule == '| --- |' + ' ---: |' * 7
    assert line == (
        '| student | 32×32 | 52.0 ± 2.0 | 90.0 ± 0.0 | 50.0 ± 0.0 | 44.5 k | 1.00 M | 500 |'
    )
    assert seeds == 'Seeds: 1, 2, 3.'


@pytest.mark.parametrize(
    'name',
    [
        'README.md',
        *(f'configs/{family}/README.md' for family in ('faster_rcnn', 'resnet', 'retinanet')),
    ],
)
def test_texts_show_the_results_that_are_kept(name):
    text = (ROOT / name).read_text()
    assert '<!-- results: ' in text
    assert summarize.fill(text) == text
