"""Check for each family that the ONNX file finds what MMDetection's own ``predict`` finds."""

import os
from pathlib import Path

import pytest
from mmengine.config import ConfigDict

from pd_mmdet.workbench.onnx.quantize import quantize
from pd_mmdet.workbench.onnx.runtime import Session
from pd_mmdet.workbench.onnx.student import load_student
from pd_mmdet.workbench.onnx.write import write_onnx
from tests.helpers import ROOT
from tests.helpers.small_families import detector, save, with_cells, without_threshold

RECIPES = ROOT / 'configs' / 'retinanet'
# RetinaNet, and images of any size: test_export_onnx.py; Faster R-CNN on them: test_readme.py.
GREY = """
test_pipeline = _base_.test_pipeline
test_pipeline[0].color_type = 'grayscale'
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
"""
FAMILIES = ('FCOSInStrides', 'ATSS', 'GFL', 'RTMDet', 'YOLOX', 'SSD', 'FasterRCNN')


@pytest.fixture
def pictures(glyphs, monkeypatch) -> Path:
    """The config of real pictures where they are at hand, of glyphs elsewhere."""
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    data = 'bccd' if Path(os.environ.get('BCCD_ROOT', 'data/bccd')).is_dir() else 'glyphs'
    return RECIPES / f'retinanet_r34-r18_{data}_k2' / 'baseline.py'


@pytest.mark.parametrize('family', FAMILIES)
def test_a_file_finds_what_the_student_finds_and_nearly_so_in_eight_bits(
    family, pictures, tmp_path
):
    files = save(without_threshold(detector(family)), pictures, tmp_path)
    student, out, small = load_student(*files), tmp_path / 'student.onnx', tmp_path / 'int8.onnx'
    difference, dynamic = write_onnx(student, out, fixed_size=True, number=3)
    assert not dynamic and difference.images == 3
    assert difference.found > 20 and difference.boxes < 2e-3 and difference.scores < 1e-5
    images = student.images(3)
    in_float = quantize(out, small, iter(images))
    assert len(in_float) == 1 + (family == 'GFL')  # its integral is a product, too
    best, nearly = (Session(file).run(images[0][None])['scores'].max() for file in (out, small))
    assert 0 < abs(best - nearly) < 0.02


def test_sub_cells_of_a_coarse_level_on_images_of_any_size(pictures, tmp_path):
    """Beyond the stride to which images are padded, sizes are formulas that PyTorch leaves."""
    model = detector('RetinaNet')
    model.neck.num_outs = 6
    model.bbox_head.anchor_generator.strides = [4, 8, 16, 32, 64, 128]
    files = save(with_cells(without_threshold(model)), pictures, tmp_path)
    difference, dynamic = write_onnx(load_student(*files), tmp_path / 'student.onnx', number=2)
    assert dynamic and difference.found > 20


@pytest.mark.parametrize('family', ['RetinaNet', 'FasterRCNN'])
def test_a_student_that_itself_reads_one_channel(family, pictures, tmp_path):
    model = without_threshold(detector(family))
    model.backbone = ConfigDict(model.backbone, in_channels=1)
    model.data_preprocessor.update(mean=[110.0], std=[60.0], bgr_to_rgb=False)
    student = load_student(*save(model, pictures, tmp_path, GREY))
    assert student.images(1)[0].shape[2] == 1
    difference, _ = write_onnx(student, tmp_path / 'student.onnx', number=2)
    assert difference.found > 20 and difference.boxes < 2e-3
    assert Session(tmp_path / 'student.onnx').metadata['channels'] == 'grey'
