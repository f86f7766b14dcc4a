"""Check what the launchers' scripts start; `test_distributed.py` runs one of them for real."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT

TOOLS = ROOT / 'tools'
OPTIONS = ['--cfg-options', 'key=[1, 2]']


@pytest.fixture
def call(tmp_path: Path):
    """Run a script where `srun` and `python` only print their arguments, one a line."""
    for name in ('srun', 'python'):
        program = tmp_path / 'bin' / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\necho "$PYTHONPATH"\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)

    def run(script: str, *arguments: str, **env: str) -> list[str]:
        path = os.pathsep.join([str(tmp_path / 'bin'), os.environ['PATH']])
        printed = subprocess.run(
            ['bash', str(TOOLS / script), *arguments],
            env=dict(env, PATH=path, PYTHONPATH='mine'),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        place, *words = printed.splitlines()
        assert place == f'{TOOLS}/..:mine'
        return words

    return run


@pytest.mark.parametrize(
    'script, first, tool',
    [
        ('dist_train.sh', ['a b.py'], 'train.py'),
        ('dist_test.sh', ['a b.py', 'c d.pth'], 'test.py'),
    ],
)
def test_processes_on_several_machines(call, script, first, tool):
    machines = dict(NNODES='4', NODE_RANK='2', MASTER_ADDR='node1', PORT='29501')
    words = call(script, *first, '8', *OPTIONS, **machines)
    start = words.index(f'{TOOLS}/{tool}')
    assert words[start + 1 :] == [*first, '--launcher', 'pytorch', *OPTIONS]
    for name, value in dict(
        nnodes=4, node_rank=2, master_addr='node1', master_port=29501, nproc_per_node=8
    ).items():
        assert f'--{name}={value}' in words[:start]


def test_slurm(call):
    env = dict(GPUS='4', GPUS_PER_NODE='2', SRUN_ARGS='-w node[1-2] -q')
    words = call('slurm_train.sh', 'gpus', 'a job', 'a b.py', 'work dir', *OPTIONS, **env)
    start = words.index(f'{TOOLS}/train.py')
    assert words[start + 1 :] == ['a b.py', '--work-dir=work dir', '--launcher=slurm', *OPTIONS]
    assert {'--job-name=a job', '--ntasks=4', '--gres=gpu:2', 'node[1-2]'} < {*words[:start]}


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_too_few_arguments(script):
    result = subprocess.run(['bash', str(TOOLS / script)], capture_output=True, text=True)
    assert result.returncode == 2 and f'tools/{script}' in result.stderr
