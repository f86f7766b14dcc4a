"""The commands that `pip install` makes, where there is no checkout."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.helpers import ROOT

tomllib = pytest.importorskip('tomllib')
SCRIPTS = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['scripts']


@pytest.mark.parametrize('name', SCRIPTS)
def test_it_says_how_it_is_used(name, monkeypatch, capsys):
    module, _, function = SCRIPTS[name].partition(':')
    monkeypatch.setattr(sys, 'argv', [f'/usr/bin/{name}', '--help'])
    with pytest.raises(SystemExit) as stopped:
        getattr(import_module(module), function)()
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f'usage: {name} ')


@pytest.mark.parametrize('module', SCRIPTS.values())
def test_tools_has_the_same_command(module):
    name = module.rpartition('.')[2].removesuffix(':main')
    assert f'commands.{name} import main\n' in (ROOT / 'tools' / f'{name}.py').read_text()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The package alone, as pip would copy it."""
    shutil.copytree(ROOT / 'pd_mmdet', tmp_path / 'site' / 'pd_mmdet')
    return tmp_path / 'site'


def test_a_recipe_is_made_without_the_checkout(installed, tmp_path):
    here = tmp_path / 'here'
    here.mkdir()
    script = here / 'pd-make-recipe'
    module, _, function = SCRIPTS['pd-make-recipe'].partition(':')
    script.write_text(f'from {module} import {function}\n{function}()\n')
    config = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
    command = [script.name, config, config, '--ratio', '2', '--out', 'mine']
    done = subprocess.run(
        [sys.executable, *command],
        cwd=here,
        env={**os.environ, 'PYTHONPATH': str(installed), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('Next:\n  pd-distill mine --baseline\n')
    assert (here / 'mine' / 'student.py').is_file()
