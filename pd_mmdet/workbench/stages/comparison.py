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
    datasets = [build_dataset(stage.cfg) for stage in shown]
    indices = task.choose_images(datasets[0])
    predictions = {
        stage.name: (dataset, *predict(stage, dataset, indices))
        for stage, dataset in zip(shown, datasets)
    }
    return task.draw_comparison(indices, predictions)


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
