"""Classification, on MMPretrain."""

from __future__ import annotations

from argparse import Namespace

import torch
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmpretrain.registry import DATASETS, MODELS

from ...distillers.teacher import plain_model_cfg
from .classification_picture import choose_images, draw_comparison
from .small_classifier import small_classifier
from .task import Task

NOTES = """\
Top-1, top-5: share of the validation images, in percent, whose class has the highest score of the
last checkpoint, or one of the five highest; – where there are no more than five classes. Balanced:
top-1's mean over the classes. Parameters and FLOPs (a multiplication and its addition are one) are
of the deployed classifier, on one image. Image: width x height as the classifier reads it."""


def heads(model: dict) -> list[dict]:
    """List the config of a classifier's head."""
    return [model['head']] if model.get('head') else []


def complete_loaders(cfg: Config) -> None:
    """Add to dataloaders what MMPretrain's own tools add, where a config leaves it out."""
    loaders = [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    for loader in filter(None, loaders):
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', torch.accelerator.is_available())
        loader.setdefault('persistent_workers', loader.get('num_workers', 0) > 0)


def evaluators(cfg: Config, place: int) -> list[dict]:
    """List MMPretrain's metrics of single labels.

    Args:
        cfg: The stage's config, whose head says how many classes there are.
        place: Index of the validation set. Not used.
    """
    several = plain_model_cfg(cfg.model).head.num_classes > 5
    return [
        dict(type='Accuracy', topk=(1, 5) if several else 1),
        dict(type='SingleLabelMetric', items=('recall',), average='macro'),
    ]


def metrics(found: dict[str, float]) -> dict[str, float]:
    """Return ``top1``, ``top5`` and ``balanced`` accuracy, 0 to 1; -1 for top-5 of five classes.

    Balanced accuracy is the mean of the classes' recalls, as in Brodersen et al., ICPR 2010.
    """
    top5 = found.get('accuracy/top5')
    return dict(
        top1=found['accuracy/top1'] / 100,
        top5=-1.0 if top5 is None else top5 / 100,
        balanced=found['single-label/recall'] / 100,
    )


def show_predictions(cfg: Config, args: Namespace) -> None:
    """Turn on the pictures of predictions, as MMDetection's ``trigger_visualization_hook`` does.

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


_KD = dict(kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=0.9))

CLASSIFICATION = Task(
    name='Classification',
    kind='classifier',
    library='MMPretrain',
    scope='mmpretrain',
    package='pd_mmdet.classification',
    models=MODELS,
    datasets=DATASETS,
    distiller='PixelDistillClassifier',
    hooks=('TeacherHook', 'ISRDVisualizationHook'),
    packing='PackInputs',
    preprocessor_in_model=False,
    fixed_size=True,
    different_network_terms=_KD,
    same_network_terms=_KD,
    student_weight=0.1,  # 1 - alpha of (1 - alpha) * CE + alpha * KL * T^2; alpha is that of `kd`
    isrd_weight=10.0,  # the paper's at ratio 2, and at 4 no worse than its 50 (docs/benchmark.md)
    small_model=small_classifier,
    heads=heads,
    metrics=metrics,
    evaluators=evaluators,
    notes=NOTES,
    choose_images=choose_images,
    draw_comparison=draw_comparison,
    complete_loaders=complete_loaders,
    show_predictions=show_predictions,
    dump_metric=DumpResults,
    tta_model=dict(type='AverageClsScoreTTA'),
)
"""Classification: all that differs from detection."""
