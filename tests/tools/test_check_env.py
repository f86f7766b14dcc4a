import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.helpers import ROOT

TOOL = ROOT / 'tools' / 'check_env.py'


def check(*options: str, path: str = '') -> subprocess.CompletedProcess:
    command = [sys.executable, *options, str(TOOL)]
    env = dict(PATH='', PYTHONPATH=path, OMP_NUM_THREADS='1')
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.fixture
def packages(tmp_path) -> Path:
    """Make a folder of what is installed, link by link."""
    for place in {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}:
        for item in Path(place).iterdir():
            (tmp_path / item.name).symlink_to(item)
    return tmp_path


@pytest.mark.parametrize(
    'name, module, command',
    [
        ('torch', 'torch', '"torch===2.13.0" "torchvision==0.28.0"  # or the build that suits'),
        ('onedl-mmcv', 'mmcv', '--no-build-isolation onedl-mmcv==2.3.6  # compiled against'),
        ('onedl-mmdetection', 'mmdet', '--no-build-isolation onedl-mmdetection==3.5.1\n'),
    ],
)
def test_what_is_missing_is_said(packages, name, module, command):
    hidden = [*packages.glob(f'{name.replace("-", "_")}-*.dist-info')]
    assert len(hidden) == 1
    for item in (*hidden, packages / module):
        item.unlink()
    result = check('-S', path=str(packages))
    assert result.returncode == 1
    assert result.stderr.startswith(f'Not installed: {name}. In this order:\n  {sys.executable} -m')
    assert command in result.stderr and 'Traceback' not in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_with_nothing_installed():
    result = check('-S')
    assert result.returncode == 1
    steps = [line for line in result.stderr.splitlines() if line.startswith('  ')]
    named = ['torch===', 'onedl-mmcv==', 'onedl-mmdetection==', 'onedl-mmengine==']
    assert [name in step for name, step in zip(named, steps, strict=True)] == [True] * 4
