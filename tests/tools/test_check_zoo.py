"""The tool, on the quickest of the configs; what it writes is tested in tests/zoo."""

import json
import re
import runpy
import subprocess
import sys
from argparse import Namespace

import pytest

from tests.helpers import ROOT
from tests.helpers.commands import run_here

TOOL = ROOT / 'tools' / 'check_zoo.py'
QUICK = ['yolof/yolof_r50-c5_8xb8-1x_coco.py', 'detr/detr_r50_8xb2-150e_coco.py', 'rpn/*c4_1x*']


def check_zoo(*args):
    """Run the tool. Its processes are forks, which a process with other threads must not have."""
    return subprocess.run(
        [sys.executable, TOOL, *args], capture_output=True, text=True, timeout=600
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_rerun_agrees_with_the_page(tmp_path):
    result = check_zoo('--configs', *QUICK)
    assert result.returncode == 0, result.stderr
    found = dict(re.findall(r'^\[\S+ \d+ s\] (\S+) (.*?) *$', result.stdout, re.MULTILINE))
    assert len(found) == 3
    page = (ROOT / 'docs' / 'zoo.md').read_text()
    rows = re.findall(r'^\| (\S+/\S+) \| \d+ \| .* \| (.*) \| .* \|$', page, re.MULTILINE)
    told = {name: verdict.replace(':', '', 1) for name, verdict in rows}
    assert found == {name: told[name] for name in found}
    # Once more, of what is known: with --resume nothing is built.
    again = check_zoo('--resume', '--configs', *QUICK)
    assert again.returncode == 0 and '[1/3' not in again.stdout
    assert not (tmp_path / 'docs').exists()


def test_a_name_of_nothing_is_an_error():
    result = run_here(TOOL, '--configs', 'atss/nothing*')
    assert result.returncode == 1
    assert 'error: atss/nothing* is neither a file nor a pattern' in result.stderr


def test_a_failure_is_not_hidden(tmp_path):
    """Here of a detector with fewer heads than levels, which can read no image."""
    (tmp_path / 'bad.py').write_text(
        "_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'\n"
        "model = dict(bbox_head=dict(type='RetinaSepBNHead', num_ins=3))\n"
    )
    result = check_zoo('--configs', 'bad.py')
    assert result.returncode == 1
    assert 'bad.py fails' in result.stdout and '1 fail: bad.py' in result.stderr


def test_a_resumed_chain_tries_again_what_failed(tmp_path):
    tool = runpy.run_path(str(TOOL))
    first, second = map(str, tool['CHAIN'][:2])
    good = dict(recipe='', training='')
    lines = [[first, good], [second, dict(recipe='', training='no data')], ['no link', good]]
    cache = tmp_path / tool['CHAIN_CACHE']
    cache.parent.mkdir()
    cache.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    assert tool['succeeded'](Namespace(resume=True)) == {first: good}
    assert tool['succeeded'](Namespace(resume=False)) == {} and not cache.exists()
