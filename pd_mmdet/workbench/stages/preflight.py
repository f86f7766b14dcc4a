"""Try the data of all stages before anything is trained."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import Dataset

from ...distillers.distiller import Distiller
from ...hooks.samples import transforms_of
from ...hooks.teacher_hook import check_scale
from ...mixin import with_preprocessor
from ..tasks import task_of
from .stage import Stage


def check_data(stages: Sequence[Stage]) -> None:
    """Run images of every unfinished stage through its pipelines and its data preprocessor.

    The first image of the training and the validation set is tried, and if the annotations have
    sizes, the smallest image and the most elongated one. Training images are also tried with the
    pipeline to which a ``PipelineSwitchHook`` switches later. Models are built, but not run.

    Raises:
        ValueError: A step fails; the message names the stage, the dataloader and the image.
    """
    tried: list[tuple] = []
    for stage in stages:
        for split in _splits(stage):
            data = _data_options(stage.cfg, split)
            if data not in tried:
                print(f'Trying the {split} data of {stage.name}', flush=True)
                _check_split(stage, split)
                tried.append(data)


def _splits(stage: Stage) -> tuple[str, ...]:
    """Return the splits that a stage will read; one that is not trained is only evaluated."""
    if not stage.trains:
        return ('val',)
    return () if stage.finished else ('train', 'val')


def _data_options(cfg: Config, split: str) -> tuple:
    """Return the options that decide how the images of a split are read."""
    switched = _switched_pipelines(cfg) if split == 'train' else []
    return cfg[f'{split}_dataloader'].dataset, switched, cfg.model, cfg.get('data_preprocessor')


def _check_split(stage: Stage, split: str) -> None:
    """Run some images of a split through its pipelines and the data preprocessor."""
    cfg, loader = stage.cfg, f'{split}_dataloader'
    task = task_of(cfg)
    init_default_scope(task.scope)
    model = with_preprocessor(cfg.model, cfg.get('data_preprocessor'))
    model = task.models.build(copy.deepcopy(model))
    preprocessor = model.data_preprocessor
    dataset = task.datasets.build(copy.deepcopy(cfg[loader].dataset))
    try:
        _check_transforms(model, dataset, split)
    except ValueError as error:
        raise ValueError(f'{stage.file}: {loader}: {error}') from None
    hub = MessageHub.get_current_instance()
    if hub.get_info('iter') is None:  # BatchSyncRandomResize reads it
        hub.update_info('iter', 0)
    indices = _extremes(dataset)
    _try(stage, loader, dataset, indices, preprocessor, split == 'train')
    for pipeline in _switched_pipelines(cfg) if split == 'train' else []:
        dataset.pipeline = Compose(copy.deepcopy(pipeline))
        _try(stage, 'switch_pipeline', dataset, indices, preprocessor, training=True)


def _check_transforms(model: nn.Module, dataset: Dataset, split: str) -> None:
    """Raise the ValueError that ``TeacherHook`` would raise when the stage begins."""
    if isinstance(model, Distiller):
        model.check_pipeline(list(transforms_of(dataset)))
    if split == 'val':
        check_scale(dataset)


def _try(
    stage: Stage,
    name: str,
    dataset: Dataset,
    indices: Iterable[int],
    preprocessor: nn.Module,
    training: bool,
) -> None:
    """Load images and preprocess them.

    Args:
        stage: For the message.
        name: For the message: the dataloader or pipeline.
        dataset: The dataset.
        indices: Indices of the images.
        preprocessor: The data preprocessor.
        training: Whether it augments the batch.

    Raises:
        ValueError: A step fails.
    """
    for index in indices:
        try:
            preprocessor(pseudo_collate([dataset[index]]), training)
        except Exception as error:  # datasets and transforms may be custom
            file = _info(dataset, index).get('img_path', f'image {index}')
            kind = type(error).__name__
            raise ValueError(f'{stage.file}: {name}, {file}: {kind}: {error}') from error


def _switched_pipelines(cfg: Config) -> list[list[dict]]:
    """Return the pipelines to which hooks switch the training set later."""
    hooks = cfg.get('custom_hooks') or ()
    return [hook['switch_pipeline'] for hook in hooks if 'switch_pipeline' in hook]


def _extremes(dataset: Dataset) -> Iterable[int]:
    """Return the indices of the first, the smallest and the most elongated image."""
    sizes = [_size(dataset, index) for index in range(len(dataset))]
    if None in sizes:
        return [0]
    smallest = min(range(len(sizes)), key=lambda index: min(sizes[index]))
    thinnest = min(range(len(sizes)), key=lambda index: min(sizes[index]) / max(sizes[index]))
    return dict.fromkeys([0, smallest, thinnest])


def _size(dataset: Dataset, index: int) -> tuple[int, int] | None:
    """Return height and width in pixels, if the annotations have them."""
    info = _info(dataset, index)
    return (info['height'], info['width']) if {'height', 'width'} <= info.keys() else None


def _info(dataset: Dataset, index: int) -> dict[str, Any]:
    return dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}
