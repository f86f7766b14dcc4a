"""What the tools do for classifiers, on MMPretrain."""

from __future__ import annotations

from argparse import Namespace

import torch
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmpretrain.registry import DATASETS, MODELS

from ...distillers.teacher import plain_model_cfg
from . import classification_recipe as recipe
from .classification_picture import picture, shown

__all__ = ['DATASETS', 'MODELS', 'picture', 'recipe', 'shown']

NAME = 'Classification'
SCOPE = 'mmpretrain'
DUMP = DumpResults
TTA_MODEL = dict(type='AverageClsScoreTTA')
NOTES = """\
Top-1, top-5: share of the validation images, in percent, whose class has the highest score of the
last checkpoint, or one of the five highest; – where there are no more than five classes. Balanced:
top-1's mean over the classes. Parameters and FLOPs (a multiplication and its addition are one) are
of the deployed classifier, on one image. Image: width x height as the classifier reads it."""


def complete_loaders(cfg: Config) -> None:
    """Add to dataloaders what MMPretrain's own tools add to those that do not say it."""
    loaders = [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    for loader in filter(None, loaders):
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', torch.accelerator.is_available())
        loader.setdefault('persistent_workers', loader.get('num_workers', 0) > 0)


def evaluators(cfg: Config, place: int) -> list[dict]:
    """MMPretrain's metrics of single labels.

    Args:
        cfg: The stage's config, whose head says how many classes there are.
        place: Which of the validation sets. Not used.
    """
    several = plain_model_cfg(cfg.model).head.num_classes > 5
    return [
        dict(type='Accuracy', topk=(1, 5) if several else 1),
        dict(type='SingleLabelMetric', items=('recall',), average='macro'),
    ]


def metrics(found: dict[str, float]) -> dict[str, float]:
    """``top1``, ``top5`` and ``balanced`` accuracy, 0 to 1; -1 for top-5 of five classes or less.

    The balanced one is the mean of the classes' recalls, as in Brodersen et al., ICPR 2010.
    """
    top5 = found.get('accuracy/top5')
    return dict(
        top1=found['accuracy/top1'] / 100,
        top5=-1.0 if top5 is None else top5 / 100,
        balanced=found['single-label/recall'] / 100,
    )


def trigger_visualization_hook(cfg: Config, args: Namespace) -> None:
    """Turn on the pictures of predictions, as MMDetection's function of this name does.

    Args:
        cfg: Config of the test.
        args: Its options ``show``, ``show_dir``, ``wait_time`` and ``tta``.

    Raises:
        RuntimeError: The config's ``default_hooks`` have no ``visualization``.
        ValueError: It is a test with augmentation, whose images MMPretrain's hook cannot draw.
    """
    if args.tta:
        raise ValueError(
            '--tta: leave it out with --show and --show-dir, which draw one image each'
        )
    if 'visualization' not in cfg.get('default_hooks', {}):
        raise RuntimeError(
            "--show and --show-dir need default_hooks = dict(visualization=dict(type='"
            "VisualizationHook')) in the config"
        )
    cfg.default_hooks.visualization.update(
        enable=True,
        interval=1,
        show=args.show,
        wait_time=args.wait_time,
        out_dir=args.show_dir,
    )
