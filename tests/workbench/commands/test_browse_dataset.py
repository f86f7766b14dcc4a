from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
from mmdet.registry import VISUALIZERS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from pd_mmdet.testing.zoo.chain import run_python
from pd_mmdet.transforms import LowResolution, PackPairedDetInputs
from pd_mmdet.workbench.commands.browse_dataset import drawn
from tests.helpers import ROOT

TOOL = ROOT / 'tools' / 'browse_dataset.py'
STOCK = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'analysis_tools' / 'browse_dataset.py'
RECIPE = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2'


@pytest.fixture
def browse(glyphs, tmp_path, monkeypatch):
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))

    def run(tool: Path, config: Path) -> dict[str, np.ndarray]:
        """The first picture."""
        out = tmp_path / f'{tool.parent.name}_{config.stem}'
        options = ['--cfg-options', 'train_dataloader.dataset.indices=1']
        run_python([tool, config, '--not-show', '--output-dir', out, *options])
        return {file.name: cv2.imread(str(file)) for file in sorted(out.iterdir())}

    return run


def test_both_views_side_by_side(browse, glyphs):
    plain = browse(TOOL, RECIPE / 'ceiling.py')
    stock = browse(STOCK, RECIPE / 'ceiling.py')
    both = browse(TOOL, RECIPE / 'student.py')
    assert len(plain) == 1 and [*plain] == [*stock] == [*both]
    for name, picture in both.items():
        assert np.array_equal(plain[name], stock[name])
        left, right = np.split(picture, 2, axis=1)
        assert np.array_equal(left, stock[name])
        # Where nothing is drawn, the right half is the small image, each pixel twice as large.
        file = cv2.resize(cv2.imread(str(glyphs / 'train' / name)), (160, 160))
        small = file.reshape(80, 2, 80, 2, 3).mean((1, 3)).round().repeat(2, 0).repeat(2, 1)
        blank = cv2.dilate((left != file).any(2).astype(np.uint8), np.ones((7, 7))) == 0
        assert 0.3 < blank.mean() < 0.99
        assert np.abs(right[blank] - small[blank]).max() <= 1
        # Its boxes are where those of the large image are, to the width of a line.
        drawn = cv2.dilate((np.abs(right - small) > 1).any(2).astype(np.uint8), np.ones((5, 5)))
        assert drawn[(left != file).any(2)].mean() > 0.97


@pytest.mark.parametrize('enlarge', [1, 2])
def test_masks_and_one_channel(enlarge):
    masks = np.zeros((1, 64, 96), dtype=np.uint8)
    masks[0, 16:48, 24:72] = 1
    results = dict(
        img=np.full((64, 96, 1), 100, dtype=np.uint8),
        img_id=0,
        img_path='0.png',
        ori_shape=(64, 96),
        gt_bboxes=HorizontalBoxes(np.array([[24, 16, 72, 48]], dtype=np.float32)),
        gt_bboxes_labels=np.zeros(1, dtype=int),
        gt_masks=BitmapMasks(masks, 64, 96),
    )
    item = PackPairedDetInputs(meta_keys=())(LowResolution(2, enlarge=enlarge)(results))
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name='masks'))
    visualizer.dataset_meta = dict(classes=('a',), palette=[(255, 0, 0)])
    left, right = np.split(drawn(visualizer, item), 2, axis=1)
    for half in (left, right):
        assert half.shape == (64, 96, 3)
        assert (half[:12] == 100).all() and (half[:, :20] == 100).all()
        inside = half[30:44, 50:68].astype(int)  # below the class' name
        assert (inside[..., 0] > inside[..., 1] + 50).all()
