"""The commands that the launchers' scripts make; `test_distributed.py` runs one of them."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT

TOOLS = ROOT / 'tools'


@pytest.fixture
def call(tmp_path: Path):
    """Run a script where `srun` and `python` only print their arguments, one a line."""
    for name in ('srun', 'python'):
        program = tmp_path / 'bin' / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\necho "$PYTHONPATH"\nprintf "%s\\n" "$0" "$@"\n')
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
        place, program, *found = printed.splitlines()
        assert place == f'{TOOLS}/..:mine'
        return [Path(program).name, *found]

    return run


@pytest.mark.parametrize(
    'script, first, tool',
    [
        ('dist_train.sh', ['a b.py'], 'train.py'),
        ('dist_test.sh', ['a b.py', 'c d.pth'], 'test.py'),
    ],
)
def test_one_process_a_gpu(call, script, first, tool):
    options = ['--cfg-options', 'key=[1, 2]']
    launch = ['python', '-m', 'torch.distributed.run']
    run = [f'{TOOLS}/{tool}', *first, '--launcher', 'pytorch', *options]
    assert call(script, *first, '8', *options) == [
        *launch,
        '--nnodes=1',
        '--node_rank=0',
        '--master_addr=127.0.0.1',
        '--master_port=29500',
        '--nproc_per_node=8',
        *run,
    ]
    machines = dict(NNODES='4', NODE_RANK='2', MASTER_ADDR='node1', PORT='29501')
    assert call(script, *first, '8', *options, **machines) == [
        *launch,
        '--nnodes=4',
        '--node_rank=2',
        '--master_addr=node1',
        '--master_port=29501',
        '--nproc_per_node=8',
        *run,
    ]


@pytest.mark.parametrize(
    'env, wanted',
    [
        ({}, ['--gres=gpu:8', '--ntasks=8', '--ntasks-per-node=8', '--cpus-per-task=5']),
        (
            dict(GPUS='4', GPUS_PER_NODE='2', CPUS_PER_TASK='3', SRUN_ARGS='-w node[1-2] -q'),
            ['--gres=gpu:2', '--ntasks=4', '--ntasks-per-node=2', '--cpus-per-task=3']
            + ['-w', 'node[1-2]', '-q'],
        ),
    ],
)
def test_slurm(call, env, wanted):
    command = call('slurm_train.sh', 'gpus', 'a job', 'a b.py', 'work dir', '--amp', **env)
    assert command == [
        *('srun', '-p', 'gpus', '--job-name=a job', *wanted[:4], '--kill-on-bad-exit=1'),
        *wanted[4:],
        *('python', '-u', f'{TOOLS}/train.py', 'a b.py', '--work-dir=work dir'),
        *('--launcher=slurm', '--amp'),
    ]


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_too_few_arguments(script):
    result = subprocess.run(['bash', str(TOOLS / script)], capture_output=True, text=True)
    assert result.returncode == 2 and f'tools/{script}' in result.stderr
