import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location('summarize', ROOT / 'benchmarks' / 'summarize.py')
summarize = importlib.util.module_from_spec(spec)
spec.loader.exec_module(summarize)


def test_points_are_mean_and_deviation():
    assert summarize.points([0.50, 0.52, 0.54]) == '52.0 ± 2.0'
    assert summarize.points([0.5]) == '50.0'
    assert summarize.points([-1.0, -1.0]) == '–'


@pytest.mark.parametrize(
    'name', ['README.md', 'configs/retinanet/README.md', 'configs/faster_rcnn/README.md']
)
def test_texts_show_the_results_that_are_kept(name):
    text = (ROOT / name).read_text()
    assert '<!-- results: ' in text
    assert summarize.fill(text) == text
