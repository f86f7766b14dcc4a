"""Run what the README shows, word for word."""

import json
import re
import shlex
from pathlib import Path

import pytest
from mmengine.config import Config

from pd_mmdet.testing.zoo.chain import Link, StockProcess, run_python, write_config
from tests.helpers import ROOT

README = (ROOT / 'README.md').read_text()
BLOCKS = re.findall(r'```shell\n(.*?)```', README, re.DOTALL)


def commands(of: str) -> list[list[str]]:
    """The commands, each a list of words, of the first block that has ``of`` in it."""
    block = next(block for block in BLOCKS if of in block)
    lines = block.replace('\\\n', ' ').splitlines()
    return [shlex.split(line, comments=True) for line in lines if line]


def run(command: list[str]) -> str:
    python, *words = command
    assert python == 'python'
    return run_python(words)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like this repository, in which commands may leave what they make."""
    (tmp_path / 'tools').symlink_to(ROOT / 'tools')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_zoo(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the two configs, and of COCO, narrow networks and a few images."""
    root = here / 'mmdet'
    configs = root / '.mim' / 'configs' / 'faster_rcnn'
    configs.mkdir(parents=True)
    (root / '.mim' / 'model-index.yml').write_text('Import: []\n')
    link = Link('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', smaller=8)
    cfg = Config.fromfile(write_config(link, here / 'student', epochs=12))
    cfg.model.neck.in_channels = [8, 16, 32, 64]
    for name, depth in dict(r50=18, r101=34).items():
        cfg.model.backbone.depth = depth
        file = configs / f'faster-rcnn_{name}_fpn_1x_coco.py'
        Config(cfg.to_dict(), format_python_code=False).dump(file)  # formatting takes seconds
    for module in ('mmengine.hub.hub', 'mmengine.config.config'):
        monkeypatch.setattr(f'{module}.get_installed_path', lambda _: str(root))


def test_distil_your_detector(small_zoo, here):
    make, train, export = commands('train_tas.py my_recipe')
    assert 'Left out' not in run(make)
    table = run(train)
    assert all(stage in table for stage in ('teacher', 'assistant', 'student', 'baseline_long'))
    run(export)

    image = str(next((here / 'student' / 'data' / 'val2017').iterdir()))
    deployed = here / 'deployed'
    with StockProcess() as stock:
        found = stock.predict(
            deployed / 'student.py', deployed / 'student.pth', image, here / 'found.json'
        )
    assert len(found['scores'])

    (onnx,) = commands('tools/export_onnx.py')
    assert 'Written: student.onnx, for images of any size' in run(onnx)

    (report,) = commands('tools/cost_report.py')
    run(report)
    rows = json.loads((here / 'costs' / 'costs.json').read_text())['rows']
    assert [row['name'] for row in rows] == ['large', 'small']
    assert rows[1]['flops'] < rows[0]['flops'] and rows[1]['png'] < rows[0]['png']


def test_distil_your_classifier(here):
    (make,) = commands('mmpretrain::')
    assert 'Next:\n  python tools/train_tas.py my_recipe --baseline' in run(make)
    assert (here / 'my_recipe' / 'student.py').is_file()
