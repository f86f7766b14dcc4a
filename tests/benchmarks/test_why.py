"""Put together what ISRD rebuilt from the files of a training."""

import importlib.util

import cv2
import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.commands import run_here

TOOL = ROOT / 'benchmarks' / 'why.py'


@pytest.fixture(scope='module')
def why():
    spec = importlib.util.spec_from_file_location('why', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_picture_has_a_row_an_image_and_goes_through_the_training(why, tmp_path):
    files = tmp_path / 'ours' / '20261125_000000' / 'vis_data' / 'vis_image'
    files.mkdir(parents=True)
    steps = [1, 100, 200, 300, 400, 500, 800]
    for image in (0, 1):
        for step in steps:
            shades = np.repeat([10, step % 256, 20 + image], 8)  # small, rebuilt, large
            picture = np.broadcast_to(shades[None, :, None], (6, 24, 3)).astype(np.uint8)
            cv2.imwrite(str(files / f'isrd_{image}_{step}.png'), picture)
    panels = why.reconstructions(tmp_path).axes
    assert len(panels) == 2 * 6
    titles = [panel.get_title() for panel in panels[:6]]
    shown = ['iteration 1', 'iteration 200', 'iteration 400', 'iteration 800']
    assert titles == ['small image', *shown, 'large image']
    values = [panel.images[0].get_array()[0, 0, 0] for panel in panels[6:]]
    assert values == [10, 1, 200, 400 % 256, 800 % 256, 21]


def test_unfinished_runs_are_named(tmp_path):
    (tmp_path / 'ours.py').touch()
    ended = run_here(TOOL, tmp_path)
    assert ended.returncode == 2
    assert 'has no finished run of the rows assistant, baseline, baseline_long' in ended.stderr
