"""Draw what teacher, baseline and student predict on the same validation images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.device import get_device
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...checkpoint import load_data
from ...distillers.teacher import student_part
from ..tasks import task_of
from .evaluate import build_dataset, build_model
from .stage import Stage

SHOWN = ('teacher', 'baseline', 'student')


def compare(stages: Sequence[Stage]) -> Figure:
    """Draw some images of the first validation set, with ground truth and predictions.

    Args:
        stages: Finished stages; those of ``SHOWN`` are drawn, in that order.
    """
    shown = sorted(
        (stage for stage in stages if stage.name in SHOWN),
        key=lambda stage: SHOWN.index(stage.name),
    )
    task = task_of(shown[0].cfg)
    indices = task.choose_images(build_dataset(shown[0].cfg))
    return draw({stage.name: stage for stage in shown}, indices)


def draw(stages: dict[str, Stage], indices: Sequence[int]) -> Figure:
    """Draw images of the first validation set, with ground truth and predictions.

    Args:
        stages: Name over a column → a finished stage.
        indices: Indices of the images in the set.
    """
    datasets = {name: build_dataset(stage.cfg) for name, stage in stages.items()}
    predictions = {
        name: (datasets[name], *predict(stage, datasets[name], indices))
        for name, stage in stages.items()
    }
    return task_of(next(iter(stages.values())).cfg).draw_comparison(indices, predictions)


@torch.no_grad()
def predict(
    stage: Stage, dataset: BaseDataset, indices: Sequence[int]
) -> tuple[list[Tensor], list[BaseDataElement]]:
    """Return images (C, H, W) as a stage's network reads them, and samples with predictions."""
    model = build_model(stage.cfg)
    model.load_state_dict(student_part(load_data(stage.checkpoint)))
    model.to(get_device())
    items = [dataset[index] for index in indices]
    samples = [model.test_step(pseudo_collate([item]))[0].cpu() for item in items]
    return [item['inputs'] for item in items], samples
