"""Check that an export is, in stock MMDetection without this package, what the distiller was."""

import json
import pickle
from pathlib import Path
from typing import NamedTuple

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from pd_mmdet.checkpoint import load_data
from pd_mmdet.testing.zoo.chain import run_python
from pd_mmdet.transforms import LowResolution
from pd_mmdet.workbench.configs import walk
from pd_mmdet.workbench.export import export_student
from tests.helpers import ROOT
from tests.helpers.glyphs import make_glyphs
from tests.helpers.hostile import Touch
from tests.helpers.stock import run_stock

register_all_modules()
RECIPES = ROOT / 'configs' / 'retinanet'
GLYPHS = RECIPES / 'retinanet_r34-r18_glyphs_k2'
STOCK_TEST = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'test.py'
# A network that has hardly learnt is sure of nothing: without the threshold it finds something.
STUDENT = """
_base_ = '{recipe}/student.py'
model = dict(student=dict(test_cfg=dict(score_thr=0.0)))
train_cfg = dict(max_iters=3, val_interval=10)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(interval=3))
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', gamma=1, momentum=0.1, update_buffers=True)
]
log_level = 'WARNING'
"""
INFER = """
import importlib.util, json, sys
from mmdet.apis import DetInferencer, inference_detector, init_detector
try:
    import pd_mmdet
    sys.exit('the package can be imported')
except ImportError:
    pass
config, weights, out, *images = sys.argv[1:]
inferencer = DetInferencer(config, weights, device='cpu', show_progress=False)
alone = DetInferencer(weights=weights, device='cpu', show_progress=False)
detector = init_detector(config, weights, device='cpu')
samples = [sample.pred_instances for sample in inference_detector(detector, images)]
keys = ('bboxes', 'scores', 'labels')
found = dict(
    inferencer=inferencer(images)['predictions'],
    weights_alone=alone(images)['predictions'],
    init_detector=[{key: sample[key].tolist() for key in keys} for sample in samples],
    classes=inferencer.model.dataset_meta['classes'],
)
json.dump(found, open(out, 'w'))
"""


def save(config: Path, file: Path, seed: int = 0, **meta: object) -> Path:
    """A checkpoint of a config's model, fresh from its initialisation, as MMEngine writes it."""
    cfg = Config.fromfile(config)
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.05)
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=('a', 'b'))) | meta
    torch.save(dict(meta=meta, state_dict=model.state_dict(), optimizer={}), file)
    return file


class Trained(NamedTuple):
    config: Path
    checkpoint: Path
    averaged: dict[str, torch.Tensor]
    last: dict[str, torch.Tensor]


@pytest.fixture(scope='module', autouse=True)
def large(tmp_path_factory):
    """Make images of the size that the recipe resizes to, and save an assistant to learn from."""
    root = make_glyphs(tmp_path_factory.mktemp('data') / 'glyphs', 160)
    init_default_scope('mmdet')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GLYPHS_ROOT', str(root))
        assistant = save(GLYPHS / 'baseline.py', root / 'assistant.pth', seed=1)
        patch.setenv('ASSISTANT_CHECKPOINT', str(assistant))
        yield root


@pytest.fixture(scope='module')
def small(large, tmp_path_factory) -> Path:
    """The validation images as files that are really small."""
    root = tmp_path_factory.mktemp('small')
    (root / 'val').mkdir()
    for file in sorted((large / 'val').iterdir()):
        views = LowResolution(2, views=['lr'])(dict(img=cv2.imread(str(file))))
        cv2.imwrite(str(root / 'val' / file.name), views['img'])
    content = json.loads((large / 'annotations' / 'val.json').read_text())
    for image in content['images']:
        image.update(width=image['width'] // 2, height=image['height'] // 2)
    for annotation in content['annotations']:
        annotation['bbox'] = [side / 2 for side in annotation['bbox']]
        annotation['area'] /= 4
    (root / 'annotations').mkdir()
    (root / 'annotations' / 'val.json').write_text(json.dumps(content))
    return root


@pytest.fixture(scope='module')
def trained(large, tmp_path_factory) -> Trained:
    """A student after three iterations with EMA."""
    folder = tmp_path_factory.mktemp('trained')
    (folder / 'student.py').write_text(STUDENT.format(recipe=GLYPHS))
    cfg = Config.fromfile(folder / 'student.py')
    cfg.work_dir = str(folder)
    runner = Runner.from_cfg(cfg)
    runner.train()
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    return Trained(
        folder / 'student.py',
        folder / 'iter_3.pth',
        hook.ema_model.module.state_dict(),
        runner.model.state_dict(),
    )


@pytest.fixture(scope='module')
def exported(trained, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('exported') / 'new' / 'folder'
    tool = ROOT / 'tools' / 'export_student.py'
    said = run_python([tool, trained.config, trained.checkpoint, out])
    assert f'{out}/student.py' in said and f'{out}/student.pth' in said
    assert sorted(file.name for file in out.iterdir()) == ['student.pth', 'student.py']
    return out


def predictions(model: nn.Module, pipeline: list[dict], files: list[Path]) -> list[dict]:
    """Predict on files, one after the other, with a model in this process."""
    model.eval()
    read = Compose(pipeline)
    found = []
    for index, file in enumerate(files):
        batch = pseudo_collate([read(dict(img_path=str(file), img_id=index, instances=[]))])
        with torch.no_grad():
            found.append(model.test_step(batch)[0].pred_instances)
    return [{key: sample[key] for key in ('bboxes', 'scores', 'labels')} for sample in found]


@pytest.fixture(scope='module')
def distiller(trained) -> nn.Module:
    """The distiller that was trained, with what its checkpoint holds."""
    model = MODELS.build(Config.fromfile(trained.config).model)
    model.load_state_dict(load_data(trained.checkpoint)['state_dict'])
    return model


@pytest.fixture(scope='module')
def expected(distiller, small) -> list[dict]:
    """Predict on the small files, read as they are, with the distiller."""
    # The stock Resize to that size changes nothing, but says so to the detector.
    resize = dict(type='Resize', scale=(80, 80))
    pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackDetInputs')]
    found = predictions(distiller, pipeline, sorted((small / 'val').iterdir()))
    assert len(found) == 4 and all(len(sample['scores']) > 50 for sample in found)
    assert found[0]['scores'][:9].unique().numel() > 1
    return found


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for own, other in zip(found, expected):
        for key, value in other.items():
            assert torch.equal(torch.as_tensor(own[key], dtype=value.dtype), value), key


# Invariant 6


@pytest.fixture(scope='module')
def stock(exported, small, tmp_path_factory) -> Path:
    """The folder of what the inferencer, and then the stock test.py, find in the small files."""
    folder = tmp_path_factory.mktemp('stock')
    (folder / 'infer.py').write_text(INFER)
    files = [exported / 'student.py', exported / 'student.pth']
    infer = ['infer.py', *files, 'found.json', *sorted((small / 'val').iterdir())]
    options = [
        f'test_dataloader.dataset.data_root={small}',
        f'test_evaluator.ann_file={small}/annotations/val.json',
    ]
    out = ['--work-dir', folder, '--out', 'found.pkl', '--cfg-options', *options]
    (folder / 'said.txt').write_text(run_stock(infer, [STOCK_TEST, *files, *out], cwd=folder))
    return folder


def test_the_inferencer_finds_what_the_distiller_finds(stock, expected):
    found = json.loads((stock / 'found.json').read_text())
    for way in ('inferencer', 'weights_alone', 'init_detector'):
        assert_same(found[way], expected)
    assert found['classes'] == ['O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T']


def test_the_stock_test_finds_what_the_distiller_finds(stock, expected):
    assert 'Average Precision' in (stock / 'said.txt').read_text()
    dumped = pickle.loads((stock / 'found.pkl').read_bytes())
    found = sorted(dumped, key=lambda sample: sample['img_path'])
    assert [sample['ori_shape'] for sample in found] == [(80, 80)] * 4
    assert_same([sample['pred_instances'] for sample in found], expected)


def test_the_distiller_finds_the_same_in_large_files(trained, distiller, large, expected):
    pipeline = Config.fromfile(trained.config).test_dataloader.dataset.pipeline
    found = predictions(distiller, pipeline, sorted((large / 'val').iterdir()))
    for own, other in zip(found, expected):
        torch.testing.assert_close(own['bboxes'], 2 * other['bboxes'])
        torch.testing.assert_close(own['scores'], other['scores'])


@pytest.mark.parametrize('ratio, enlarge, cells', [(2, 2, 1), (4, 2, 1), (4, 2, 2), (2, 1, 2)])
def test_a_student_with_any_knobs_reads_small_files(
    trained, large, tmp_path, ratio, enlarge, cells
):
    """The exported detector enlarges the file itself; LowResolution had made it smaller before."""
    options = Config.fromfile(trained.config).to_dict()
    for _, low in walk(options):
        if isinstance(low, dict) and low.get('type') == 'LowResolution':
            low.update(ratio=ratio, enlarge=enlarge)
    cfg = Config(options)
    cfg.model.ratio = cfg.model.teacher.cfg.ratio = ratio // enlarge
    if cells > 1:
        divided = dict(type='SubCellDetector', cells=cells, detector=cfg.model.student)
        cfg.model.student = cfg.model.teacher.cfg.detector = divided
    cfg.dump(tmp_path / 'student.py')
    checkpoint = save(tmp_path / 'student.py', tmp_path / 'fresh.pth')
    files = sorted((large / 'val').iterdir())
    distiller = MODELS.build(cfg.model)
    distiller.load_state_dict(load_data(checkpoint)['state_dict'])
    expected = predictions(distiller, cfg.test_dataloader.dataset.pipeline, files)

    small = [tmp_path / file.name for file in files]
    for file, large_file in zip(small, files):
        views = LowResolution(ratio, views=['lr'])(dict(img=cv2.imread(str(large_file))))
        cv2.imwrite(str(file), views['img'])
    exported = export_student(tmp_path / 'student.py', checkpoint, tmp_path / 'out')
    plain = Config.fromfile(exported[0])
    pipeline = plain.test_dataloader.dataset.pipeline
    assert 'LowResolution' not in str(plain) and 'AFP' not in str(plain)
    if cells > 1:
        assert plain.model.type == 'SubCellDetector' and 'pd_mmdet' in plain.custom_imports.imports
    else:
        assert plain.model.type == 'RetinaNet' and 'custom_imports' not in plain
    assert [step.scale for step in pipeline if step.type == 'Resize'] == [
        (160 * enlarge // ratio,) * 2
    ]
    detector = MODELS.build(plain.model)
    detector.load_state_dict(torch.load(exported[1], weights_only=True)['state_dict'])
    found = predictions(detector, pipeline, small)
    assert all(len(sample['scores']) > 50 for sample in found)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(ratio * own['bboxes'], other['bboxes'])
        assert torch.equal(own['scores'], other['scores'])
        assert torch.equal(own['labels'], other['labels'])


# The files


def test_the_averaged_weights_are_taken(trained, exported):
    saved = torch.load(exported / 'student.pth', weights_only=True)
    assert saved.keys() == {'meta', 'state_dict'}
    assert saved['meta'].keys() == {'cfg', 'dataset_meta'}
    weights = saved['state_dict']
    assert not any(name.startswith('distill.') for name in weights)
    for name, value in weights.items():
        assert torch.equal(value, trained.averaged[name]), name
    different = [name for name, value in weights.items() if (value != trained.last[name]).any()]
    assert 'bbox_head.retina_cls.weight' in different
    assert 'backbone.bn1.running_mean' in different


def test_the_config_is_plain(exported):
    text = (exported / 'student.py').read_text()
    for word in (
        'pd_mmdet',
        '_base_ =',
        'Distiller',
        'LowResolution',
        'Paired',
        'train_dataloader',
    ):
        assert word not in text.replace('# ', ''), word
    cfg = Config.fromfile(exported / 'student.py')
    assert cfg.model.type == 'RetinaNet' and cfg.model.test_cfg.score_thr == 0
    assert cfg.test_dataloader.dataset.pipeline[2].scale == (80, 80)
    weights = torch.load(exported / 'student.pth', weights_only=True)['state_dict']
    MODELS.build(cfg.model).load_state_dict(weights, strict=True)


def test_a_dataset_of_this_package_becomes_the_stock_one(tmp_path):
    config = RECIPES / 'retinanet_r34-r18_bccd_k2' / 'student.py'
    checkpoint = save(config, tmp_path / 'bccd.pth')
    files = export_student(config, checkpoint, tmp_path / 'out')
    comment = files[0].read_text().splitlines()[1]
    assert (
        comment == '# BCCDDataset is part of pd_mmdet; XMLDataset, which it extends, replaces it.'
    )
    cfg = Config.fromfile(files[0])
    assert cfg.test_dataloader.dataset.type == 'XMLDataset'
    assert 'custom_imports' not in cfg
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
    assert dataset.metainfo['classes'] == ('RBC', 'WBC', 'Platelets')
    assert DetInferencer(str(files[0]), str(files[1]), device='cpu').model.dataset_meta == dict(
        classes=('a', 'b'), palette=dataset.metainfo['palette']
    )


def test_numbers_of_numpy_become_plain_ones(tmp_path):
    palette = [np.array([1, 2, 3]), (np.int64(4), 5, 6)]
    config = GLYPHS / 'student.py'
    checkpoint = save(config, tmp_path / 's.pth', dataset_meta=dict(palette=palette))
    _, file = export_student(config, checkpoint, tmp_path / 'out')
    meta = torch.load(file, weights_only=True)['meta']
    assert meta['dataset_meta'] == dict(palette=[[1, 2, 3], (4, 5, 6)])


def test_a_pipeline_of_small_files_stays(tmp_path):
    config = tmp_path / 'student.py'
    config.write_text(
        f"_base_ = '{GLYPHS}/student.py'\n"
        "custom_imports = dict(_delete_=True, imports=['pd_mmdet', 'json'])\n"
        "pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(80, 80)),\n"
        "            dict(type='PackDetInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    file, _ = export_student(config, save(config, tmp_path / 's.pth'), tmp_path / 'out')
    cfg = Config.fromfile(file)
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (80, 80)
    assert cfg.val_dataloader.dataset.pipeline[2].scale == (80, 80)
    assert cfg.custom_imports.imports == ['json']


def test_an_assistant_says_what_it_needs(large, tmp_path):
    config = GLYPHS / 'assistant.py'
    checkpoint = save(config, tmp_path / 'iter_1.pth')
    files = export_student(config, checkpoint, tmp_path / 'out')
    assert files[0].read_text().startswith('# An assistant: it reads large images, and needs')
    cfg = Config.fromfile(files[0])
    assert cfg.custom_imports.imports == ['pd_mmdet']
    images = sorted((large / 'val').iterdir())
    pipeline = Config.fromfile(config).test_dataloader.dataset.pipeline
    distiller = MODELS.build(Config.fromfile(config).model)
    distiller.load_state_dict(load_data(checkpoint)['state_dict'])
    expected = predictions(distiller, pipeline, images)
    assert all(len(sample['scores']) for sample in expected)
    inferencer = DetInferencer(*map(str, files), device='cpu', show_progress=False)
    assert_same(inferencer([str(image) for image in images])['predictions'], expected)


# Refusals


def test_a_plain_model_is_refused(tmp_path):
    config = GLYPHS / 'baseline.py'
    checkpoint = save(config, tmp_path / 'plain.pth')
    with pytest.raises(ValueError, match='model.type is RetinaNet, not AFPDistiller'):
        export_student(config, checkpoint, tmp_path / 'out')
    with pytest.raises(ValueError, match="plain.pth is not a distiller's checkpoint"):
        export_student(GLYPHS / 'student.py', checkpoint, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_checkpoint_of_another_stage_is_refused(tmp_path):
    checkpoint = save(GLYPHS / 'assistant.py', tmp_path / 'assistant.pth')
    with pytest.raises(ValueError, match="was trained on the view 'hr', but .* reads 'lr'"):
        export_student(GLYPHS / 'student.py', checkpoint, tmp_path / 'out')


def trained_as(tmp_path, **entries: object) -> Path:
    """A checkpoint in which TeacherHook has noted what was trained; its config says nothing."""
    checkpoint = load_data(save(GLYPHS / 'student.py', tmp_path / 'student.pth', cfg=''))
    checkpoint['pd_mmdet'] = dict(distiller='AFPDistiller', view='lr') | entries
    torch.save(checkpoint, tmp_path / 'student.pth')
    return tmp_path / 'student.pth'


def test_a_checkpoint_says_what_it_was_trained_as(tmp_path):
    export_student(GLYPHS / 'student.py', trained_as(tmp_path), tmp_path / 'out')
    with pytest.raises(ValueError, match="was trained on the view 'hr', but .* reads 'lr'"):
        export_student(GLYPHS / 'student.py', trained_as(tmp_path, view='hr'), tmp_path / 'new')
    other = trained_as(tmp_path, distiller='PixelDistillClassifier')
    with pytest.raises(ValueError, match='was not trained as AFPDistiller'):
        export_student(GLYPHS / 'student.py', other, tmp_path / 'new')


def test_a_checkpoint_that_lacks_weights_is_refused(trained, tmp_path):
    saved = load_data(trained.checkpoint)
    del saved['state_dict']['bbox_head.retina_cls.bias']
    torch.save(saved, tmp_path / 'less.pth')
    with pytest.raises(
        ValueError, match='less.pth does not fit .*\n.*1 missing: .*retina_cls.bias'
    ):
        export_student(trained.config, tmp_path / 'less.pth', tmp_path / 'out')


def test_no_file_and_no_data(tmp_path):
    config = GLYPHS / 'student.py'
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*none.pth'):
        export_student(config, tmp_path / 'none.pth', tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='no config file at .*none.py'):
        export_student(tmp_path / 'none.py', tmp_path / 'none.pth', tmp_path / 'out')
    torch.save(dict(state_dict={}, meta=Touch(tmp_path / 'trace')), tmp_path / 'hostile.pth')
    with pytest.raises(ValueError, match='io.open would have to be called'):
        export_student(config, tmp_path / 'hostile.pth', tmp_path / 'out')
    assert not (tmp_path / 'trace').exists()


@pytest.mark.parametrize('name', ['student.py', 'student.pth'])
def test_nothing_is_overwritten(trained, tmp_path, name):
    (tmp_path / name).write_text('mine')
    with pytest.raises(FileExistsError, match=f'{name} exists already'):
        export_student(trained.config, trained.checkpoint, tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ['mine']


def test_a_failure_leaves_nothing(trained, tmp_path, monkeypatch):
    def full(*args: object, **options: object) -> None:
        raise OSError('no space left')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match='no space left'):
        export_student(trained.config, trained.checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_only_this_package_has_is_refused(tmp_path):
    config = tmp_path / 'student.py'
    config.write_text(
        f"_base_ = '{GLYPHS}/student.py'\n"
        "pipeline = [dict(type='LoadImageFromFile'), dict(type='PackPairedDetInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    checkpoint = save(config, tmp_path / 'student.pth')
    with pytest.raises(
        ValueError, match=r'test_dataloader.dataset.pipeline.1: PackPaired.* part of'
    ):
        export_student(config, checkpoint, tmp_path / 'out')
