"""Check for each family that the ONNX file finds what MMDetection's own ``predict`` finds."""

import os
from pathlib import Path

import numpy as np
import pytest

from pd_mmdet.workbench.onnx.runtime import Session
from pd_mmdet.workbench.onnx.student import load_student
from pd_mmdet.workbench.onnx.write import write_onnx
from tests.helpers import ROOT
from tests.helpers.small_families import detector, save, with_cells

FAMILIES = ('FCOS', 'FCOSInStrides', 'ATSS', 'GFL', 'RTMDet', 'YOLOX', 'SSD')


@pytest.fixture
def pictures(glyphs, monkeypatch) -> Path:
    """The config of real pictures where they are at hand, of glyphs elsewhere."""
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    recipes = ROOT / 'configs' / 'retinanet'
    real = Path(os.environ.get('BCCD_ROOT', 'data/bccd')).is_dir()
    return recipes / f'retinanet_r34-r18_{"bccd" if real else "glyphs"}_k2' / 'baseline.py'


def without_threshold(cfg):
    """A network that has not learnt is sure of nothing."""
    cfg.test_cfg.get('rcnn', cfg.test_cfg).score_thr = 0.0
    return cfg


@pytest.mark.parametrize('family', FAMILIES)
def test_a_file_finds_what_the_student_finds(family, pictures, tmp_path):
    files = save(without_threshold(detector(family)), pictures, tmp_path)
    out = tmp_path / 'student.onnx'
    difference, dynamic = write_onnx(load_student(*files), out, fixed_size=True, number=3)
    assert not dynamic and difference.images == 3
    assert difference.found > 150 and difference.boxes < 1e-3 and difference.scores < 1e-5
    assert Session(out).metadata['recipe'] == f'{tmp_path.name}/student'


@pytest.mark.parametrize('family', ['RetinaNet', 'FasterRCNN'])
def test_it_reads_images_of_any_size(family, pictures, tmp_path):
    files = save(without_threshold(detector(family)), pictures, tmp_path)
    out = tmp_path / 'student.onnx'
    difference, dynamic = write_onnx(load_student(*files), out, number=2)
    assert dynamic and difference.images == 4
    assert difference.found > 150 and difference.boxes < 1e-3 and difference.scores < 1e-5
