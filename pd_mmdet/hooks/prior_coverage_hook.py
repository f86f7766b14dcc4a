import logging
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from mmdet.registry import HOOKS
from mmdet.structures.bbox import get_box_tensor
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ..afp.coverage import positive_iou, prior_coverage, suggest_priors
from .samples import evenly_spaced


class Side(NamedTuple):
    """A dense head and the view that it reads; None where there is one view only."""

    name: str
    view: str | None
    head: nn.Module | None

    def __str__(self) -> str:
        return f'{self.view or "the image"} ({self.name})'


@HOOKS.register_module()
class PriorCoverageHook(Hook):
    """Before training, say which share of the training boxes the priors suit, for every view.

    A box that no prior overlaps by the assigner's positive IoU is hardly learnt; stock anchors
    made for large images fit small ones badly.

    Args:
        num_images: How many images of the training set are read at most, evenly spaced.
        threshold: Share of the boxes below which priors that suit better are named.
    """

    def __init__(self, num_images: int = 200, threshold: float = 0.7) -> None:
        self.num_images = num_images
        self.threshold = threshold

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Log one line a view.

        Raises:
            ValueError: If the training pipeline does not yield a view that a side reads.
        """
        sides = []
        for side in _sides(runner.model):
            if hasattr(getattr(side.head, 'prior_generator', None), 'base_anchors'):
                sides.append(side)
            else:
                runner.logger.info(
                    f'prior coverage on {side}: not measured, there is no bbox_head with anchors'
                )
        if not sides:
            return
        loader = runner.train_dataloader
        views = {side.name: side.view for side in sides}
        collate = partial(_boxes, views)
        images = list(evenly_spaced(loader.dataset, self.num_images, collate, loader.num_workers))
        for side in sides:
            boxes, shapes = zip(*(image[side.name] for image in images))
            self._report(runner.logger, side, list(map(torch.from_numpy, boxes)), shapes)

    def _report(
        self, logger: logging.Logger, side: Side, boxes: list[Tensor], shapes: list[tuple]
    ) -> None:
        number = sum(map(len, boxes))
        if not number:
            logger.warning(f'prior coverage on {side}: no boxes on {len(boxes)} training images')
            return
        coverage = prior_coverage(side.head, boxes, shapes)
        message = (
            f'prior coverage on {side}: {100 * coverage:.0f} % of {number} boxes reach IoU '
            f'{positive_iou(side.head):g}'
        )
        if coverage >= self.threshold:
            logger.info(message)
            return
        better = suggest_priors(side.head, boxes, shapes, self.threshold)
        logger.warning(
            f'{message}, fewer than {100 * self.threshold:.0f} %: the others are hardly learnt. '
            f'What would suit better: {better}'
        )


def _sides(model: nn.Module) -> list[Side]:
    if is_model_wrapper(model):
        model = model.module
    head = getattr(model, 'bbox_head', None)
    if not hasattr(model, 'teacher'):
        return [Side('detector', None, head)]
    sides = [Side('student', model.view, head)]
    if model.teacher is not None:
        teacher_head = getattr(model.teacher.model, 'bbox_head', None)
        sides.append(Side('teacher', model.teacher.view, teacher_head))
    return sides


def _boxes(views: dict[str, str | None], items: list[dict]) -> dict[str, tuple]:
    """For each side the boxes (n, 4) and the shape (height, width) of the image it reads.

    Boxes are arrays: every tensor that comes from another process holds a file open.
    """
    (item,) = items
    inputs, samples = item['inputs'], item['data_samples']
    read = {}
    for side, view in views.items():
        if not isinstance(inputs, Mapping) and len(set(views.values())) == 1:
            image, sample = inputs, samples
        elif isinstance(inputs, Mapping) and view in inputs:
            image, sample = inputs[view], samples[view]
        else:
            raise ValueError(
                f'the {side} reads {f"view {view!r}" if view else "one image"}, but the training '
                f'pipeline yields {_names(inputs)}: set the views of its LowResolution'
            )
        read[side] = get_box_tensor(sample.gt_instances.bboxes).numpy(), tuple(image.shape[-2:])
    return read


def _names(inputs: Mapping | Tensor) -> str:
    return str(sorted(inputs)) if isinstance(inputs, Mapping) else 'one image'
