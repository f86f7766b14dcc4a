"""What teacher, baseline and student answer on the same validation images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.device import get_device
from mmengine.structures import BaseDataElement

from ..checkpoint import load_data
from ..distillers.teacher import student_part
from ..tasks import task_of
from .evaluate import build_dataset, build_model
from .stages import Stage

SHOWN = ('teacher', 'baseline', 'student')


def compare(stages: Sequence[Stage], path: Path) -> None:
    """Draw some validation images, with the truth and the answers of the stages.

    Args:
        stages: Finished stages; those of ``SHOWN`` are drawn, in that order.
        path: The picture's file.
    """
    shown = sorted(
        (stage for stage in stages if stage.name in SHOWN),
        key=lambda stage: SHOWN.index(stage.name),
    )
    task = task_of(shown[0].cfg)
    datasets = [build_dataset(stage.cfg) for stage in shown]
    indices = task.shown(datasets[0])
    answers = {
        stage.name: (dataset, predict(stage, dataset, indices))
        for stage, dataset in zip(shown, datasets)
    }
    task.picture(indices, answers).savefig(path)


@torch.no_grad()
def predict(stage: Stage, dataset: BaseDataset, indices: Sequence[int]) -> list[BaseDataElement]:
    """The data samples with what a stage's network says of some images of its dataset."""
    model = build_model(stage.cfg)
    model.load_state_dict(student_part(load_data(stage.checkpoint)))
    model.to(get_device())
    return [model.test_step(pseudo_collate([dataset[index]]))[0].cpu() for index in indices]
