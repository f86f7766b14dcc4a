"""Test a model, distilled or plain: a detector of MMDetection or a classifier of MMPretrain.

The config's default_scope tells which. Options are those of MMDetection's tool for both.
"""

import argparse
import os
from copy import deepcopy
from pathlib import Path

from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ...checkpoint import plain_data_only
from ...processes import leave_group
from ..load_config import load_config
from ..onnx.evaluate import with_file
from ..tasks import task_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint, or ONNX file of the student')
    parser.add_argument('--work-dir', help='folder of logs and metrics (default: work_dirs/CONFIG)')
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to a pickle file')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument(
        '--show-dir',
        help='write pictures of the predictions to this folder (for detectors in the work folder)',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that --show shows an image (default: 2)'
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
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='of a launcher')
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out {args.out}: the file name must end in .pkl or .pickle')
    if args.tta and args.checkpoint.endswith('.onnx'):
        parser.error(f'--tta: an ONNX file ({args.checkpoint}) has no test-time augmentation')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def apply_args(cfg: Config, args: argparse.Namespace) -> None:
    """Put the options of the command line into the config."""
    task_of(cfg).complete_loaders(cfg)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    if args.work_dir or not cfg.get('work_dir'):
        cfg.work_dir = args.work_dir or str(Path('work_dirs', Path(args.config).stem))
    if args.show or args.show_dir:
        task_of(cfg).show_predictions(cfg, args)
    if args.tta:
        augment(cfg)


def augment(cfg: Config) -> None:
    """Wrap model and pipeline for test-time augmentation: the config's own, or flips."""
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if 'tta_model' not in cfg:
        cfg.tta_model = task_of(cfg).tta_model
    if 'tta_pipeline' not in cfg:
        pack = deepcopy(dataset.pipeline[-1])
        pack.pop('meta_keys', None)  # the default ones tell the flip
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        flip = dict(type='TestTimeAug', transforms=[flips, [pack]])
        cfg.tta_pipeline = [*dataset.pipeline[:-1], flip]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def test(cfg: Config, out: str | None) -> None:
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if out:
        runner.test_evaluator.metrics.append(task_of(cfg).dump_metric(out_file_path=out))
    runner.test()


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    plain_data_only()
    cfg = load_config(args.config, args.cfg_options, splits=['test'])
    apply_args(cfg, args)
    if args.checkpoint.endswith('.onnx'):
        cfg = with_file(cfg, Path(args.checkpoint))
    test(cfg, args.out)
    leave_group()


if __name__ == '__main__':
    main()
