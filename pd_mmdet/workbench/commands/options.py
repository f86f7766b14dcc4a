"""Options and messages of the commands that train several stages."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction

from ..stages.stage import Stage


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how every stage is trained."""
    parser.add_argument(
        '--gpus',
        type=int,
        default=1,
        metavar='N',
        help='train each stage on N GPUs of this machine, a process and a batch each (default: 1)',
    )
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rates with the batch size, by each config's auto_scale_lr",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config of every stage: optim_wrapper.optimizer.lr=0.01 key="[a,b]"',
    )


def check_training_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the program where this machine does not have what the options ask for."""
    available = max(1, torch.accelerator.device_count())
    if not 1 <= args.gpus <= available:
        parser.error(f'--gpus {args.gpus}: must be 1 to {available} on this machine')


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Collect what the command line changes in every config; a stage's folder keeps it."""
    options = {}
    if args.amp:
        options |= {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.loss_scale': 'dynamic'}
    if args.auto_scale_lr:
        options['auto_scale_lr.enable'] = True
    return options | (args.cfg_options or {})


def train_or_exit(stage: Stage, gpus: int = 1) -> None:
    """Train a stage unless it is finished; end the program with the code of one that fails."""
    if stage.finished:
        stage.make_folder()
        return
    try:
        stage.train(gpus)
    except subprocess.CalledProcessError as error:
        code = error.returncode
        print(f'\n{stage.name} failed (exit code {code}). {how_to_resume()}', file=sys.stderr)
        sys.exit(code if code > 0 else 128 - code)
    except RuntimeError as error:
        sys.exit(f'error: {error}')


def how_to_resume() -> str:
    """Say how to go on: by the command that is running, as a user types it."""
    program, *arguments = sys.argv
    if program.endswith('.py'):
        words = [Path(sys.executable).name, program]
    else:  # an installed command
        words = [Path(program).name]
    command = shlex.join([*words, *arguments])
    return f'The same command goes on from here:\n  {command}'
