"""Try the commands one after the other, as a user would, on a config of the zoo.

A recipe is made of the config, each stage is trained for two iterations, the table and the picture
are made, the student is exported and used where this package cannot be imported, and the costs are
reported. Pipelines, hooks, losses and metrics are those of the config. The network is narrow, the
images are few and small, and the sizes in the pipelines become smaller with them.
"""

from __future__ import annotations

import json
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from math import isfinite
from numbers import Real
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple
from unittest.mock import patch

import cv2
import torch
from mmcv.transforms import Compose
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.visualization import Visualizer

from ...checkpoint import load_data
from ...distillers.teacher import student_part
from ...transforms import LowResolution
from ...workbench.configs import Place, key_of, replace
from ...workbench.deployed_data import deployed_pipeline
from ...workbench.stages import stage as stages
from ...workbench.stages.evaluate import build_model
from .configs import light, read_config
from .data import write_coco, write_voc

RATIO = 2
CHANNELS = ('channels', 'num_deconv_filters')
ONCE = dict(times=1, switch_epoch=1, num_last_epochs=1)
"""Values that let the data come once an epoch, and late changes in the second epoch."""

STOCK = 'MMDetection itself: '
"""First words of a reason that is not in this package."""

STEPS = ('recipe', 'training', 'table', 'picture', 'export', 'prediction', 'costs')


COARSE, CELLS = ('--cells', '1'), ('--cells', '2')


class Link(NamedTuple):
    """A config that is tried.

    Args:
        config: Path of a config of the zoo.
        narrower: Divisor of its channels.
        smaller: Divisor of the sizes in its pipelines.
        classes: Names of the classes of the data; None: those of the config.
        masks: Format of masks in the annotations, ``'polygon'`` or ``'rle'``.
        hard: Whether the data have crowds and an image without objects.
        knobs: Further options of make_recipe.
    """

    config: str
    narrower: int = 8
    smaller: int = 4
    classes: tuple[str, ...] | None = None
    masks: str = 'polygon'
    hard: bool = False
    knobs: tuple[str, ...] = COARSE

    def __str__(self) -> str:
        name = ' '.join([Path(self.config).stem, *self.knobs])
        if self.hard:
            return f'{name}, RLE, crowds, an image without objects'
        return f'{name}, classes of its own' if self.classes else name


CLASSES = ('disc', 'box', 'ring')
CHAIN = (
    Link('retinanet/retinanet_r50_fpn_1x_coco.py', classes=CLASSES),
    Link('ssd/ssd300_coco.py', narrower=1, smaller=1),
    Link('yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py', narrower=1, smaller=2),
    Link('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'),
    Link('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', knobs=()),
    Link('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', knobs=('--enlarge', '2')),
    Link('atss/atss_r50_fpn_1x_coco.py', classes=CLASSES),
    Link('atss/atss_r50_fpn_1x_coco.py', knobs=()),
    Link('gfl/gfl_r50_fpn_1x_coco.py'),
    Link('gfl/gfl_r50_fpn_1x_coco.py', knobs=()),
    Link('paa/paa_r50_fpn_1x_coco.py'),
    Link('vfnet/vfnet_r50_fpn_1x_coco.py'),
    Link('tood/tood_r50_fpn_1x_coco.py'),
    Link('rtmdet/rtmdet_tiny_8xb32-300e_coco.py', narrower=3),
    Link('rtmdet/rtmdet_tiny_8xb32-300e_coco.py', narrower=3, knobs=()),
    Link('yolox/yolox_tiny_8xb8-300e_coco.py', narrower=3),
    Link('yolox/yolox_tiny_8xb8-300e_coco.py', narrower=3, knobs=()),
    Link('reppoints/reppoints-moment_r50_fpn_1x_coco.py'),
    Link('centernet/centernet_r18_8xb16-crop512-140e_coco.py'),
    Link('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'),
    Link('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', knobs=CELLS),
    Link('pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'),
    Link('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', classes=CLASSES),
    Link('mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'),
    Link('mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', classes=CLASSES, masks='rle', hard=True),
    Link('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py', classes=CLASSES),
    Link('rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py', narrower=3),
)
"""The kinds of detectors that are tried."""

PREDICT = """
import json, sys
sys.modules['pd_mmdet'] = None  # importing it fails
from mmdet.apis import inference_detector, init_detector
for line in sys.stdin:
    config, weights, image, out = json.loads(line)
    found = inference_detector(init_detector(config, weights, device='cpu'), image).pred_instances
    json.dump({key: found[key].tolist() for key in ('bboxes', 'scores', 'labels')}, open(out, 'w'))
    print('done', flush=True)
"""


class StockProcess:
    """A process that has MMDetection, but not this package; to be used in a ``with`` block."""

    def __enter__(self) -> StockProcess:
        # A file: the process would wait for ever at a full pipe that nobody reads.
        self.errors = TemporaryFile('w+')
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.process = subprocess.Popen([sys.executable, '-c', PREDICT], text=True, **pipes)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def predict(self, config: Path, weights: Path, image: Path, out: Path) -> dict[str, list]:
        """Let the detector of a config predict for an image file.

        Args:
            config: File of the config.
            weights: File of the weights.
            image: File of the image.
            out: File in which the process writes the predictions.

        Raises:
            RuntimeError: The prediction fails; the message is the last line of the process.
        """
        files = [str(file) for file in (config, weights, image, out)]
        self.process.stdin.write(json.dumps(files) + '\n')
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            if line == 'done\n':
                return json.loads(out.read_text())
            if not line:
                self.process.wait()
                self.errors.seek(0)
                raise RuntimeError(self.errors.read().strip().rpartition('\n')[2])


def run_chain(link: Link, folder: Path, stock: StockProcess) -> dict[str, str]:
    """Try all steps until one fails.

    Args:
        link: The config.
        folder: New folder for all files.
        stock: Predicts with the exported student.

    Returns:
        Step that was tried → why it failed; ``''`` if it did not.
    """
    folder.mkdir(parents=True)
    config = write_config(link, folder)
    recipe, work = folder / 'recipe', folder / 'work'
    options = ['--ratio', RATIO, *link.knobs, '--out', recipe]
    # A student with sub-cells needs this package.
    predict = predict_here if link.knobs in ((), CELLS) else stock.predict
    steps: dict[str, Callable[[], object]] = dict(
        recipe=partial(_run, 'make_recipe', config, config, *options),
        training=partial(_run, 'train_tas', recipe, '--work-dir', work, '--baseline'),
        table=partial(_check_table, work),
        picture=partial(_check_picture, work),
        export=partial(
            _run, 'export_student', recipe / 'student.py', _trained(work), folder / 'deployed'
        ),
        prediction=partial(_check_predictions, folder, predict),
        costs=partial(_report_costs, folder),
    )
    outcome: dict[str, str] = {}
    for name, step in steps.items():
        try:
            step()
        except (Exception, SystemExit) as error:
            outcome[name] = f'{type(error).__name__}: {error}'.strip()
            if name == 'training' and _stock_fails(work):
                outcome[name] = f'{STOCK}{outcome[name]}'
            if name != 'picture':
                break
        else:
            outcome[name] = ''
    return outcome


def _stock_fails(work: Path) -> bool:
    """Return whether the training of the first stage failed, which is a plain detector's."""
    teacher = work / 'teacher'
    return teacher.is_dir() and not (teacher / 'finished.txt').is_file()


def write_config(link: Link, folder: Path, epochs: int = 2) -> Path:
    """Write the data, and the config that trains on them for a few short epochs."""
    data = folder / 'data'
    if 'voc' in link.config:
        write_voc(data)
    else:
        write_coco(data, link.classes, link.masks, link.hard)
    cfg = read_config(link.config).to_dict()
    cfg['model'] = light(cfg['model']).to_dict()
    if link.smaller > 1:
        for key in cfg:
            if key.endswith('_dataloader') or 'pipeline' in key or key == 'custom_hooks':
                cfg[key] = deployed_pipeline([cfg[key]], link.smaller)[0]
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'] |= dict(batch_size=2, num_workers=0, persistent_workers=False)
    cfg['train_cfg'] = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=epochs)
    file = folder / f'{Path(link.config).stem}.py'
    edited = replace(cfg, partial(_edit, link, data))
    Config(edited, format_python_code=False).dump(file)  # formatting takes seconds
    return file


def _edit(link: Link, data: Path, place: Place, value: Any) -> Any:
    """Return the new value of an option for small data and a narrow network."""
    key = key_of(place)
    if isinstance(value, str):
        for folder in ('data/coco/', 'data/VOCdevkit/'):
            value = value.replace(folder, f'{data}/')
    elif isinstance(value, dict):
        value = _edited_dict(link, value)
    elif key.endswith(CHANNELS) and isinstance(value, int) and value > 3:
        value //= link.narrower
    elif key == 'widen_factor':
        value /= link.narrower
    return ONCE.get(key, value)


def _edited_dict(link: Link, value: dict) -> dict | None:
    kind = value.get('type')
    if kind == 'Pretrained':
        return None
    if kind == 'ResNet':
        return value | dict.fromkeys(('stem_channels', 'base_channels'), 64 // link.narrower)
    if link.classes and 'num_classes' in value:
        return value | dict(num_classes=len(link.classes))
    if link.classes and kind == 'CocoDataset':
        return value | dict(metainfo=dict(classes=link.classes))
    if link.hard and 'filter_cfg' in value:
        return value | dict(filter_cfg=dict(filter_empty_gt=False, min_size=0))
    return value


def _run(command: str, *arguments: object) -> None:
    """Run a command of the workbench in this process, as a user would.

    Raises:
        SystemExit: The command ends with an error.
    """
    run_python(['-m', f'pd_mmdet.workbench.commands.{command}', *arguments])


def run_python(words: list[object]) -> str:
    """Do in this process what ``python WORDS`` does in one of its own.

    The stages that the command trains are trained in this process, too.

    Args:
        words: A file, or ``-m`` and a module with a ``main``; then the arguments.

    Returns:
        Its output on the screen.

    Raises:
        SystemExit: The command ends with an error.
    """
    output = StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        start_python(words)
    return output.getvalue()


def start_python(words: list[object]) -> None:
    """Do the same as :func:`run_python`, but write on the screen.

    Raises:
        SystemExit: The command ends with an error, or by itself.
    """
    argv = [str(word) for word in words]
    if argv[0] == '-m':
        argv = argv[1:]
        start = import_module(argv[0]).main
    else:
        start = partial(runpy.run_path, argv[0], run_name='__main__')
    # A new process would have the default: train_tas.py's handler would keep the workers of a
    # `multiprocessing.Pool` (VOC's metric has one) from ending.
    at_end = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # MMEngine keeps one visualizer of each name in a process, with the folder of the first run.
    for kind in (Visualizer, *Visualizer.__subclasses__()):
        kind._instance_dict.clear()
    with (
        patch.object(sys, 'argv', argv),
        patch.dict('os.environ'),  # what the command changes ends with it
        patch.object(sys, 'path', [str(Path(argv[0]).parent), *sys.path]),
        # Configs are written as they are: making them pretty takes most of the time.
        patch('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, False)),
        # In a process of its own each stage would import everything again.
        patch.object(stages, '_run', lambda command: start_python(command[1:])),
    ):
        try:
            start()
        finally:
            signal.signal(signal.SIGTERM, at_end)


def _check_table(work: Path) -> None:
    """Check that all stages have results, which are finite numbers."""
    rows = json.loads((work / 'results.json').read_text())['rows']
    names = [row['name'] for row in rows]
    assert names == ['teacher', 'assistant', 'student', 'baseline', 'baseline_long'], names
    for row in rows:
        values = [value for value in row.values() if isinstance(value, Real)]
        assert all(map(isfinite, values)), row
        assert 0 <= row['bbox_mAP'] <= 1, row
        assert row['name'] in (work / 'results.md').read_text()


def _check_picture(work: Path) -> None:
    assert cv2.imread(str(work / 'comparison.png')) is not None, 'no comparison.png'


def predict_here(config: Path, weights: Path, image: Path, out: Path) -> dict[str, list]:
    """Do in this process what :meth:`StockProcess.predict` does without this package."""
    model = init_detector(str(config), str(weights), device='cpu', cfg_options={})
    found = inference_detector(model, str(image)).pred_instances
    return {key: found[key].tolist() for key in ('bboxes', 'scores', 'labels')}


def _check_predictions(folder: Path, predict: Callable[..., dict[str, list]]) -> None:
    """Check that the exported student predicts for a small file what the trained student does."""
    config, weights = (folder / 'deployed' / f'student{ending}' for ending in ('.py', '.pth'))
    large = cv2.imread(str(next((folder / 'data').rglob('*.jpg'))))
    image = folder / 'small.png'
    cv2.imwrite(str(image), LowResolution(RATIO, views=['lr'])(dict(img=large))['img'])
    found = predict(config, weights, image, folder / 'found.json')

    model = build_model(Config.fromfile(folder / 'recipe' / 'student.py'))
    model.load_state_dict(student_part(load_data(_trained(folder / 'work'))))
    pipeline = [
        transform
        for transform in Config.fromfile(config).test_dataloader.dataset.pipeline
        if 'Annotations' not in transform.type
    ]
    item = Compose(pipeline)(dict(img_path=str(image), img_id=0))
    with torch.no_grad():
        expected = model.test_step(pseudo_collate([item]))[0].pred_instances
    assert len(expected.scores), 'the student finds nothing'
    for key, values in found.items():
        torch.testing.assert_close(torch.tensor(values), expected[key], check_dtype=False)


def _report_costs(folder: Path) -> None:
    work, out = folder / 'work', folder / 'costs'
    network = f'student={folder / "recipe" / "student.py"}:{_trained(work)}'
    quick = ['--rounds', 1, '--images', 1, '--batch-sizes', 1]
    _run('cost_report', '--out', out, network, *quick)
    (row,) = json.loads((out / 'costs.json').read_text())['rows']
    assert row['bbox_mAP'] is not None and row['parameters'] > 0 and row['flops'] > 0, row


def _trained(work: Path) -> Path:
    return work / 'student' / 'epoch_2.pth'
