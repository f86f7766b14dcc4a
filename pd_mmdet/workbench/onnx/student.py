"""The student that is exported, and the small images that it reads."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from mmdet.models.dense_heads import SSDHead
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from torch import nn

from ...checkpoint import load_data
from ...distillers.teacher import check_fits, student_part
from ..configs import innermost_datasets
from ..costs.image_bytes import without_enlarging
from ..deployed_data import small_file
from ..export import check_view
from ..load_config import load_config
from ..stages.evaluate import build_dataset, build_model, val_dataset, view
from ..tasks import Task, task_of
from ..validation_sets import pipeline_of


@dataclass(frozen=True, eq=False)
class Student:
    """A trained student.

    Args:
        name: Its recipe and stage, such as ``retinanet_r34-r18_bccd_k2/student``.
        cfg: Its config.
        model: The network that is deployed, with its weights, in eval.
        ratio: Side of the large image over that of the small one.
        enlarge: How many times larger it reads the small image.
        dataset: The first validation set; its images are small, and not enlarged.
    """

    name: str
    cfg: Config
    model: nn.Module
    ratio: Fraction
    enlarge: Fraction
    dataset: BaseDataset

    @property
    def task(self) -> Task:
        return task_of(self.cfg)

    def images(self, number: int) -> list[np.ndarray]:
        """Read at most ``number`` validation images, evenly spaced: see :func:`images_of`."""
        return list(images_of(self.dataset, number))


def load_student(config: str | os.PathLike, checkpoint: str | os.PathLike) -> Student:
    """Build a student with its weights.

    Args:
        config: Config of a distiller or of an undistilled student: it validates on small images.
        checkpoint: Checkpoint of its training; opened as plain data.

    Raises:
        FileNotFoundError: The config, its validation data or the checkpoint do not exist.
        ValueError: It is the config of a model that reads large images, or the checkpoint is of
            another model or stage.
    """
    cfg = load_config(config, splits=['val'])
    task = task_of(cfg)
    sizes = small_file(pipeline_of(val_dataset(cfg)))
    if cfg.model.get('view', 'lr') != 'lr' or sizes is None or view(cfg) != 'lr':
        raise ValueError(
            f'{config} is no config of a student: it validates on large images. Name one whose '
            "validation pipeline has LowResolution(views=['lr']): student.py or baseline.py"
        )
    saved = load_data(checkpoint)
    if cfg.model.type.rpartition('.')[2] == task.distiller:
        check_view(task, saved, checkpoint, 'lr', config)
    model = build_model(cfg)
    weights = student_part(saved)
    check_fits(weights, model.state_dict(), str(checkpoint), f'the student of {config}')
    model.load_state_dict(weights)
    if isinstance(getattr(model, 'bbox_head', None), SSDHead):
        model.bbox_head.loss_cls = None  # MMDetection 3.5.1 reads it when SSD predicts
    path = Path(config).resolve()
    dataset = without_enlarging(build_dataset(cfg))
    return Student(f'{path.parent.name}/{path.stem}', cfg, model, *sizes, dataset)


def training_images(student: Student, number: int) -> Iterator[np.ndarray]:
    """Read at most ``number`` training images through the validation pipeline.

    Yields:
        See :func:`images_of`.
    """
    task = student.task
    _, dataset = next(innermost_datasets(student.cfg.train_dataloader.dataset))
    dataset = copy.deepcopy(dataset)
    dataset.pipeline = copy.deepcopy(pipeline_of(val_dataset(student.cfg)))
    yield from images_of(without_enlarging(task.datasets.build(dataset)), number)


def images_of(dataset: BaseDataset, number: int) -> Iterator[np.ndarray]:
    """Read evenly spaced images of a set.

    Yields:
        (H, W, C), uint8; three channels are BGR.

    Raises:
        ValueError: An image is not of bytes.
    """
    number = min(number, len(dataset))
    for index in range(number):
        item = dataset[index * len(dataset) // number]
        image = item['inputs'].permute(1, 2, 0).contiguous().numpy()
        if image.dtype != np.uint8:
            raise ValueError(
                f"the config's images are {image.dtype}; the exported graph reads uint8 only"
            )
        yield image
