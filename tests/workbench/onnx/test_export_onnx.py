"""Take one student through all that an ONNX file is for: written, evaluated, timed, deployed."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from pd_mmdet.workbench.onnx import check
from pd_mmdet.workbench.onnx.check import predicted
from pd_mmdet.workbench.onnx.int8 import write_int8
from pd_mmdet.workbench.onnx.quantize import quantize
from pd_mmdet.workbench.onnx.runtime import Session
from pd_mmdet.workbench.onnx.student import Student, load_student
from pd_mmdet.workbench.onnx.write import check_size, write_onnx
from tests.helpers import ROOT
from tests.helpers.commands import run_here
from tests.helpers.small_families import detector, save, with_cells, without_threshold

TOOLS = ROOT / 'tools'
GLYPHS = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'
ENLARGED = """
low_resolution = dict(type='LowResolution', ratio=2, views=['lr'], enlarge=2)
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, _base_.test_pipeline[-1]]
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline)
)
test_dataloader = val_dataloader
"""
WITHOUT_TORCH = """
import runpy, sys

class Refuse:
    def find_spec(self, name, *_):
        if name.partition('.')[0] in ('torch', 'mmcv', 'mmdet', 'mmengine', 'pd_mmdet'):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


class Written(NamedTuple):
    config: Path
    checkpoint: Path
    file: Path
    said: str


@pytest.fixture(autouse=True)
def data(glyphs, monkeypatch):
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


@pytest.fixture(scope='module')
def written(glyphs, tmp_path_factory) -> Written:
    """A student with sub-cells that reads small images enlarged, and its ONNX file."""
    folder = tmp_path_factory.mktemp('recipe')
    model = with_cells(without_threshold(detector('RetinaNet')))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GLYPHS_ROOT', str(glyphs))
        files = save(model, GLYPHS / 'baseline.py', folder, ENLARGED)
        out = folder / 'new' / 'student.onnx'
        done = run_here(TOOLS / 'export_onnx.py', *files, out, '--images', 2)
    assert done.returncode == 0, done.stderr
    return Written(*files, out, done.stdout)


@pytest.fixture
def student(written) -> Student:
    return load_student(written.config, written.checkpoint)


def test_it_says_how_the_file_was_compared(written):
    assert re.search(r'4 images, \d{3} results: boxes differ by at most \S+ px', written.said)
    assert f'Written: {written.file}, for images of any size' in written.said
    assert [file.name for file in written.file.parent.iterdir()] == ['student.onnx']


def test_the_file_says_what_it_is(written):
    said = Session(written.file).metadata
    assert said['recipe'] == f'{written.config.parent.name}/student'
    assert len(json.loads(said['classes'])) == 10 and said['channels'] == 'BGR'
    assert (said['ratio'], said['enlarge'], said['size']) == ('2', '2', 'dynamic')
    assert (said['score_thr'], said['iou_threshold']) == ('0.0', '0.5')
    assert str(ROOT).encode() not in written.file.read_bytes()


def test_images_of_a_batch_do_not_touch_each_other(written, student):
    session = Session(written.file)
    images = np.stack(student.images(3))
    together = session.run(images)
    for index in range(3):
        alone = session.run(images[index : index + 1])
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], together[name][index], atol=1e-4)


def test_the_program_of_the_page_runs_without_torch(written, student, tmp_path):
    page = (ROOT / 'docs' / 'deploy.md').read_text()
    (program,) = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    assert len(program.splitlines()) <= 25
    (tmp_path / 'program.py').write_text(program)
    (image,) = student.images(1)
    cv2.imwrite(str(tmp_path / 'small.png'), image)
    command = [sys.executable, '-c', WITHOUT_TORCH, 'program.py', written.file, 'small.png']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = predicted(student, image).pred_instances
    lines = done.stdout.splitlines()
    assert len(lines) == len(found) > 50
    name = student.dataset.metainfo['classes'][found.labels[0]]
    assert lines[0].startswith(f'small.png: {name} {found.scores[0]:.3f} at ')


def test_it_is_evaluated_as_the_checkpoint_is(written, tmp_path):
    found = []
    for number, file in enumerate((written.checkpoint, written.file)):
        work_dir = tmp_path / str(number)
        done = run_here(TOOLS / 'test.py', written.config, file, '--work-dir', work_dir)
        assert done.returncode == 0, done.stderr
        (record,) = work_dir.glob('*/*.json')
        found.append(json.loads(record.read_text()))
    pytorch, onnx = ({key: x for key, x in one.items() if 'mAP' in key} for one in found)
    assert pytorch and onnx == pytest.approx(pytorch, abs=1e-3)


def test_the_cost_report_takes_it(written, tmp_path):
    few = ['--rounds', 1, '--batch-sizes', 2, '--images', 1, '--jpeg', 80, '--device', 'cpu']
    network = f'onnx={written.config}:{written.file}'
    done = run_here(TOOLS / 'cost_report.py', network, '--out', tmp_path / 'costs', *few)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / 'costs' / 'costs.json').read_text())['rows']
    assert row['size_mb'] == pytest.approx(written.file.stat().st_size / 1e6)
    assert row['size_mb'] >= 4e-6 * row['parameters'] and row['image_side'] == [160, 160]
    assert row['latency_ms'] > 0 and row['latency_one_thread_ms'] > 0
    assert row['memory_mb'] is None and 0 <= row['bbox_mAP'] <= 1 and '1 thread' in done.stdout


# Eight bits


def test_eight_bits_are_smaller_and_know_what_they_are(written, student, tmp_path):
    file = tmp_path / 'student.onnx'
    file.write_bytes(written.file.read_bytes())
    quantized = write_int8(student, file, number=4, max_drop=100)
    assert quantized.in_float == ['features.0.conv1.weight'] and 'AP' in quantized.scores
    small = Session(tmp_path / 'student.int8.onnx')
    assert small.metadata == Session(file).metadata
    (image,) = student.images(1)
    difference = np.abs(small.run(image[None])['scores'] - Session(file).run(image[None])['scores'])
    assert 0 < difference.max() < 0.1


def test_all_convolutions_but_the_first_compute_in_eight_bits(written, student, tmp_path):
    """As ONNX Runtime reads the file: where it finds no scale beside a layer, it stays in float."""
    small, seen = tmp_path / 'int8.onnx', tmp_path / 'seen.onnx'
    quantize(written.file, small, iter(student.images(2)))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(seen)
    onnxruntime.InferenceSession(small, options, providers=['CPUExecutionProvider'])
    kinds = Counter(node.op_type for node in onnx.load(seen).graph.node)
    convolutions = Counter(node.op_type for node in onnx.load(written.file).graph.node)['Conv']
    assert kinds['Conv'] + kinds['FusedConv'] == 1 and kinds['QLinearConv'] == convolutions - 1
    assert kinds['Relu'] == 0 and kinds['QLinearAdd'] == 2  # a block's and the FPN's


def test_eight_bits_that_cost_too_much_leave_no_file(written, student, tmp_path):
    file = tmp_path / 'student.onnx'
    file.write_bytes(written.file.read_bytes())
    with pytest.raises(ValueError, match='more than --max-drop -1'):
        write_int8(student, file, number=1, max_drop=-1.0)
    assert [each.name for each in tmp_path.iterdir()] == ['student.onnx']


def test_no_calibration_images(written, tmp_path):
    with pytest.raises(ValueError, match='no calibration images'):
        quantize(written.file, tmp_path / 'int8.onnx', iter([]))
    assert not [*tmp_path.iterdir()]


# What is refused


def test_a_difference_leaves_no_file(student, tmp_path, monkeypatch):
    monkeypatch.setattr(check, 'BOX_TOLERANCE', -1.0)
    with pytest.raises(ValueError, match='does not find what the student finds: 1 images'):
        write_onnx(student, tmp_path / 'out' / 'student.onnx', fixed_size=True, number=1)
    assert not [*(tmp_path / 'out').iterdir()]


def test_an_image_smaller_than_the_finest_stride(student):
    check_size(student, np.zeros((1, 5, 3), np.uint8))
    as_it_is = replace(student, enlarge=Fraction(1))
    with pytest.raises(ValueError, match='are 5x1 pixels .* its finest stride is 2,'):
        check_size(as_it_is, np.zeros((1, 5, 3), np.uint8))


def test_files_that_are_no_students(written, tmp_path):
    for name in ('ceiling', 'assistant'):
        with pytest.raises(ValueError, match='is no config of a student'):
            load_student(GLYPHS / f'{name}.py', written.checkpoint)
    with pytest.raises(ValueError, match="is not a distiller's checkpoint"):
        load_student(GLYPHS / 'student.py', written.checkpoint)
    with pytest.raises(ValueError, match='does not fit the student of'):
        load_student(GLYPHS / 'baseline.py', written.checkpoint)


@pytest.mark.parametrize(
    ('out', 'options', 'message'),
    [
        ('student.onnx', [], 'student.onnx exists already'),
        ('student.pth', [], 'must end in .onnx'),
        ('new.onnx', ['--opset', '11'], '--opset 11: must be 18 to '),
        ('new.onnx', ['--images', '0'], '--images and --calibration-images: must be at least 1'),
    ],
)
def test_options_that_cannot_work(written, out, options, message):
    folder = written.file.parent
    before = sorted(folder.iterdir())
    done = run_here(
        TOOLS / 'export_onnx.py', written.config, written.checkpoint, folder / out, *options
    )
    assert done.returncode != 0 and message in done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_missing_package(written, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    arguments = (written.config, written.checkpoint, tmp_path / 'new.onnx')
    done = run_here(TOOLS / 'export_onnx.py', *arguments)
    assert done.returncode == 1
    assert "onnxscript is not installed: pip install 'pd_mmdet[onnx]'" in done.stderr
