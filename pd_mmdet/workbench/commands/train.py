"""Train a model, distilled or plain: a detector of MMDetection or a classifier of MMPretrain.

The config's default_scope tells which. Options are those of MMDetection's tool for both.
"""

import argparse
import os
from pathlib import Path

from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ...checkpoint import plain_data_only
from ...processes import leave_group
from ..load_config import load_config
from ..tasks import task_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints (default: work_dirs/CONFIG)'
    )
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate with the batch size, by the config's auto_scale_lr",
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a path, from the latest in the work folder',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config: model.backbone.depth=34 key="[a,b]" key="[(a,b),(c,d)]"',
    )
    launchers = ['none', 'pytorch', 'slurm', 'mpi']
    parser.add_argument('--launcher', choices=launchers, default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='of a launcher')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def apply_args(cfg: Config, args: argparse.Namespace) -> None:
    """Put the options of the command line into the config."""
    task_of(cfg).complete_loaders(cfg)
    cfg.launcher = args.launcher
    if args.work_dir or not cfg.get('work_dir'):
        cfg.work_dir = args.work_dir or str(Path('work_dirs', Path(args.config).stem))
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                f'--auto-scale-lr: {args.config} does not say auto_scale_lr = '
                'dict(base_batch_size=…), the batch size that its learning rate is meant for'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    plain_data_only()
    cfg = load_config(args.config, args.cfg_options, splits=['train', 'val'])
    apply_args(cfg, args)
    (RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)).train()
    leave_group()


if __name__ == '__main__':
    main()
