import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from pd_mmdet.workbench.config_text import Changed, Code, Each, Remark, config_text
from tests.helpers import ROOT

PIPELINE = [dict(type='Resize', scale=(1333, 800)), dict(type='Pad', size=(1,))]
VARIABLES = dict(
    _base_='./base.py',
    nothing=None,
    numbers=[1, 2.5, 1e-05, -1, True],
    one=(1,),
    quotes=["it's", 'say "no"', 'a\\b'],
    short=dict(a=1, b=[dict(c='d')]),
    pipeline=PIPELINE,
    longer=dict(text='x' * 60, other=dict(first='y' * 40, second='z' * 40), empty=dict(), no=[]),
    keys={'not a name': 1, 'class': 2, 'x': dict(y=3)},
    wide_string='w' * 92,
    wider_string='w' * 120,
    why=Remark('A comment that goes before the next variable ' + 'and on ' * 20),
    noted=dict(a=Remark('of the next entry'), b=1, c=Remark('at the end')),
    number=Code('8 / 3'),
    inherited=[Code('*_base_.given[:-1]'), dict(a=1)],
    changed=Changed(Code('_base_.dataset'), dict(pipeline=Code('pipeline'))),
    each=Each(Changed(Code('one'), dict(pipeline=Code('pipeline'))), Code('_base_.sets')),
    loader=dict(
        dataset=dict(
            datasets=Each(
                Changed(Code('one'), dict(pipeline=Code('pipeline'), more='m' * 30)),
                Code('_base_.with_a_rather_long_name.so_that.two_lines.are_needed'),
            )
        )
    ),
    one_line_inside=dict(
        dataset=dict(
            datasets=Each(
                Changed(Code('one'), dict(a=1)),
                Code('_base_.with_a_rather_long_name.so_that.two_lines.are_needed'),
            )
        )
    ),
)
BASE = dict(
    given=[1, 2],
    dataset=dict(type='A', pipeline=[]),
    sets=[dict(type='B'), dict(type='C')],
    with_a_rather_long_name=dict(so_that=dict(two_lines=dict(are_needed=[dict(type='D')]))),
)


@pytest.fixture
def config(tmp_path) -> Path:
    (tmp_path / 'base.py').write_text(config_text('What it inherits.', BASE))
    file = tmp_path / 'config.py'
    file.write_text(config_text('What is tested. ' * 12, VARIABLES))
    return file


def test_what_is_written_is_what_is_read(config):
    cfg = Config.fromfile(config)
    data = {'nothing', 'numbers', 'one', 'quotes', 'short', 'pipeline', 'longer', 'keys'}
    for name in data | {'wide_string', 'wider_string'}:
        assert cfg[name] == VARIABLES[name]
    assert cfg.noted == dict(b=1) and cfg.number == 8 / 3
    assert cfg.inherited == [1, dict(a=1)]
    assert cfg.changed == dict(type='A', pipeline=PIPELINE)
    assert cfg.each == [dict(type='B', pipeline=PIPELINE), dict(type='C', pipeline=PIPELINE)]
    assert cfg.loader.dataset.datasets == [dict(type='D', pipeline=PIPELINE, more='m' * 30)]
    assert cfg.one_line_inside.dataset.datasets == [dict(type='D', a=1)]
    assert 'why' not in cfg


def test_remarks_are_comments_before_the_next_entry(config):
    lines = config.read_text().splitlines()
    assert '    # of the next entry' in lines
    assert lines[lines.index('    # of the next entry') + 1] == '    b=1,'
    assert lines[lines.index('    # at the end') + 1] == ')'


def test_it_is_as_ruff_leaves_it(config):
    ruff = Path(sys.executable).with_name('ruff')
    if not ruff.exists() and not shutil.which('ruff'):
        pytest.skip('ruff is not installed')
    settings = ROOT / 'pyproject.toml'
    command = [ruff if ruff.exists() else 'ruff', 'format', '--diff', '--config', settings, config]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
