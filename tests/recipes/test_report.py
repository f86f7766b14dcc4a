import json

import pytest
from mmengine.config import Config

from pd_mmdet.recipes import report
from pd_mmdet.recipes.evaluate import AP_NAMES

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
    screen = report.write(content, tmp_path)
    read = json.loads((tmp_path / 'results.json').read_text())
    assert read == content and read['rows'] == rows
    assert f'"ratio": {written},' in (tmp_path / 'results.json').read_text()
    markdown = (tmp_path / 'results.md').read_text()
    cells = 'student 80x60 31.2 50.0 25.0 10.0 40.0 – 1.02 M 0.17 G 4000'
    for text in (markdown, screen):
        lines = [' '.join(line.replace('|', ' ').split()) for line in text.splitlines()]
        assert cells in lines and cells.replace('student', 'teacher').replace('4000', '–') in lines
    assert all(f'{part} ' in markdown for part in read['environment'])
