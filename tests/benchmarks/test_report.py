import importlib.util
import json

import pytest

from tests.helpers import ROOT

spec = importlib.util.spec_from_file_location('report', ROOT / 'benchmarks' / 'report.py')
report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(report)


def test_table_over_seeds():
    row = dict(
        name='student', image_side=[32, 32], top1=0.5, top5=0.9, balanced=0.5, parameters=44_500
    )
    runs = [
        dict(rows=[dict(row, flops=10**6, iterations=500, seed=seed, top1=top1)])
        for seed, top1 in ((1, 0.50), (2, 0.52), (3, 0.54))
    ]
    header, rule, line, _, seeds = report.stage_table(runs).splitlines()
    assert header == (
        '| stage | image | top-1 | top-5 | balanced | parameters | FLOPs | iterations |'
    )
    assert rule == '| --- |' + ' ---: |' * 7
    assert line == (
        '| student | 32×32 | 52.0 ± 2.0 | 90.0 ± 0.0 | 50.0 ± 0.0 | 44.5 k | 1.00 M | 500 |'
    )
    assert seeds == 'Seeds: 1, 2, 3.'


def test_the_texts_that_have_tables():
    names = [str(file.relative_to(ROOT)) for file in report.texts()]
    families = [f'configs/{name}/README.md' for name in ('faster_rcnn', 'resnet', 'retinanet')]
    docs = [f'docs/{name}.md' for name in ('benchmark', 'deploy', 'results')]
    assert names == sorted(['README.md', *docs, *families])


@pytest.mark.parametrize('file', report.texts(), ids=lambda file: file.parent.name)
def test_texts_show_the_results_that_are_kept(file):
    text = file.read_text()
    assert report.fill(text) == text


def test_devices_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(report, 'RESULTS', tmp_path)
    assert 'not run' in report.suite_tables('glyphs', 1)
    for device in ('cpu', 'gpu'):
        runs = json.loads((ROOT / 'benchmarks' / 'results' / 'suite_glyphs_cpu.json').read_text())
        content = dict(suite='glyphs', runs=runs['runs'])
        (tmp_path / f'suite_glyphs_{device}.json').write_text(json.dumps(content))
    (tmp_path / 'suite_glyphs_large_cpu.json').write_text(json.dumps(dict(runs=[])))
    assert [*report.results_of('glyphs')] == ['cpu', 'gpu']
    tables = report.suite_tables('glyphs', 1)
    assert tables.index('on a CPU:') < tables.index('on a GPU:')


def test_the_front_is_in_two_pages_and_a_picture():
    for page, only_front in (('README.md', True), ('docs/benchmark.md', False)):
        text = (ROOT / page).read_text()
        assert report.front_tables('bccd', only_front) in text
        assert 'benchmark_bccd_cpu_front.png' in text
    assert (ROOT / 'docs' / 'benchmark_bccd_cpu_front.png').is_file()
    assert report.front_tables('voc') == 'VOC: not run.\n'


def test_what_was_not_run_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(report, 'RESULTS', tmp_path)
    assert all(f'`{suite.name}`' in report.not_run() for suite in report.all_suites())
    runs = [
        dict(recipe='retinanet_r34-r18_bccd_k4', row='pkd', seed=1, view='lr'),
        dict(recipe='retinanet_r34-r18_bccd_k2', row='teacher', seed=1, view='hr'),  # k = 4 has it
    ]
    (tmp_path / 'suite_bccd_cpu.json').write_text(json.dumps(dict(suite='bccd', runs=runs)))
    whole, _, parts = report.not_run().partition('of `bccd` the parts ')
    assert '`bccd`' not in whole and '`coco`' in whole
    assert parts.startswith('“RetinaNet, 320×240 → 160×120”, ')
    assert '“RetinaNet, 320×240 → 80×60”' not in parts


def test_an_unknown_part_or_file_is_refused():
    with pytest.raises(IndexError):
        report.fill('<!-- suite: glyphs 9 -->\n<!-- end -->')
    with pytest.raises(FileNotFoundError):
        report.fill('<!-- results: nothing_*.json -->\n<!-- end -->')
