import pickle
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('mmpretrain')

from mmengine.config import Config

from tests.helpers import ROOT

TOOLS = ROOT / 'tools'
CONFIG = """
_base_ = 'mmpretrain::_base_/default_runtime.py'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=64))
data_preprocessor = dict(mean=[120] * 3, std=[60] * 3, to_rgb=True)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root='{root}/images',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
test_dataloader = train_dataloader
test_evaluator = dict(type='Accuracy')
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.001))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two images of each of two classes and a config.

    MMEngine keeps the scope of a run by the config's name and the second: no detector's config is
    named like it.
    """
    for number, name in enumerate(('a/0', 'a/1', 'b/2', 'b/3')):
        file = tmp_path / 'images' / f'{name}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(file), noise)
    (tmp_path / 'classifier.py').write_text(CONFIG.replace('{root}', str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, tool: str, *args: object) -> None:
    monkeypatch.setattr(sys, 'argv', [tool, 'classifier.py', *map(str, args)])
    runpy.run_path(str(TOOLS / tool), run_name='__main__')


def test_train_and_test(folder, monkeypatch):
    run(monkeypatch, 'train.py')
    trained = folder / 'work_dirs' / 'classifier' / 'epoch_1.pth'
    # As MMPretrain's own tool collates.
    loader = Config.fromfile(trained.parent / 'classifier.py').train_dataloader
    assert loader.collate_fn.type == 'default_collate' and not loader.persistent_workers

    scores = {}
    for name, options in (('plain', ['--show-dir', folder / 'shown']), ('flipped', ['--tta'])):
        out = folder / f'{name}.pkl'
        run(monkeypatch, 'test.py', trained, '--out', out, *options)
        predictions = {Path(one['img_path']).stem: one for one in pickle.loads(out.read_bytes())}
        assert sorted(predictions) == ['0', '1', '2', '3']
        scores[name] = [predictions[str(number)]['pred_score'] for number in range(4)]
    assert len(list((folder / 'shown').iterdir())) == 4
    # The mean over an image and its mirror image is another one, but not much.
    for plain, flipped in zip(scores['plain'], scores['flipped']):
        assert plain.tolist() != flipped.tolist()
        assert plain.tolist() == pytest.approx(flipped.tolist(), abs=0.2)

    with pytest.raises(ValueError, match='--tta: leave it out with --show'):
        run(monkeypatch, 'test.py', trained, '--tta', '--show-dir', folder / 'none')
