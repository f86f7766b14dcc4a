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

from ..afp import AFPDetector
from ..prior_coverage import (
    assigns_points,
    positive_iou,
    prior_coverage,
    priors_of,
    sufficient_iou,
    suggest_priors,
)
from .samples import evenly_spaced


class Side(NamedTuple):
    """A detector whose prior coverage is measured.

    Attributes:
        name: ``'detector'``, ``'student'`` or ``'teacher'``.
        view: View that it reads; None for a detector without distillation.
        head: Its dense head, if it has one.
        pixels: Ratio of a length in pixels of the view to that in pixels of the head.
    """

    name: str
    view: str | None
    head: nn.Module | None
    pixels: float

    def __str__(self) -> str:
        return f'{self.view or "the image"} ({self.name})'


@HOOKS.register_module()
class PriorCoverageHook(Hook):
    """Log the prior coverage before training: the share of training boxes that the priors suit.

    A detector hardly learns boxes to which no prior can be assigned. The usual priors, made for
    large images, are often too large for small images. :mod:`pd_mmdet.prior_coverage` defines the
    coverage for each kind of head. For a first stage it is measured at IoU 0.5; if its assigner
    needs more, the log has the coverage at that IoU, too. The message hub, and so each checkpoint,
    keeps the coverage as ``prior_coverage/<name>`` (detector, student, teacher).

    Args:
        num_images: Largest number of training images that are read, evenly spaced.
        threshold: If the coverage (0 to 1) is below this, the log suggests better priors.
    """

    def __init__(self, num_images: int = 200, threshold: float = 0.7) -> None:
        self.num_images = num_images
        self.threshold = threshold

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Log one line for the student and one for the teacher, or one for the detector.

        Raises:
            ValueError: The training pipeline does not return a view that the student or the
                teacher reads.
        """
        sides = []
        for side in _sides(runner.model):
            reason = _why_not(side.head)
            if reason is None:
                sides.append(side)
            else:
                runner.logger.info(f'prior coverage on {side}: not measured, {reason}')
        if not sides:
            return
        loader = runner.train_dataloader
        views = {side.name: side.view for side in sides}
        collate = partial(_boxes, views)
        images = list(evenly_spaced(loader.dataset, self.num_images, collate, loader.num_workers))
        for side in sides:
            arrays, sizes = zip(*(image[side.name] for image in images))
            boxes = [torch.from_numpy(array) / side.pixels for array in arrays]
            shapes = [tuple(length / side.pixels for length in size) for size in sizes]
            number = sum(map(len, boxes))
            if not number:
                runner.logger.warning(
                    f'prior coverage on {side}: no boxes on {len(boxes)} training images'
                )
                continue
            coverage = prior_coverage(side.head, boxes, shapes)
            runner.message_hub.update_info(f'prior_coverage/{side.name}', coverage)
            self._report(runner.logger, side, boxes, shapes, coverage)

    def _report(
        self,
        logger: logging.Logger,
        side: Side,
        boxes: list[Tensor],
        shapes: list[tuple],
        coverage: float,
    ) -> None:
        number = sum(map(len, boxes))
        message = f'prior coverage on {side}: {100 * coverage:.0f} % of {number} boxes '
        asked, judged = positive_iou(side.head), sufficient_iou(side.head)
        if judged is not None:
            message += f'reach IoU {judged:g}'
        elif assigns_points(side.head):
            message += 'are assigned a point'
        else:
            message += 'contain a point'
        if asked != judged:
            share = prior_coverage(side.head, boxes, shapes, asked)
            message += f", {100 * share:.0f} % the assigner's {asked:g}"
        if coverage >= self.threshold:
            logger.info(message)
            return
        better = suggest_priors(side.head, boxes, shapes, self.threshold)
        logger.warning(
            f'{message}; fewer than {100 * self.threshold:.0f} %: the other boxes are hardly '
            f'learnt. Better priors: {better}'
        )


def _why_not(head: nn.Module | None) -> str | None:
    """Return the reason for which there is nothing to measure, or None."""
    if head is None:
        return 'there is no dense head'
    if priors_of(head) is None:
        return f'a {type(head).__name__} has neither anchors nor points'
    return None


def _sides(model: nn.Module) -> list[Side]:
    if is_model_wrapper(model):
        model = model.module
    if not hasattr(model, 'teacher'):
        return [_side('detector', None, model)]
    sides = [_side('student', model.view, model)]
    if model.teacher is not None:
        sides.append(_side('teacher', model.teacher.view, model.teacher.model))
    return sides


def _side(name: str, view: str | None, model: nn.Module) -> Side:
    heads = (getattr(model, head, None) for head in ('bbox_head', 'rpn_head', 'mask_head'))
    head = next((head for head in heads if isinstance(head, nn.Module)), None)
    # The heads of an assistant measure in pixels of the small image.
    return Side(
        name, view, head, float(model.neck.afp.ratio) if isinstance(model, AFPDetector) else 1.0
    )


def _boxes(views: dict[str, str | None], items: list[dict]) -> dict[str, tuple]:
    """Return for each side the boxes (n, 4) and (height, width) of the image that it reads.

    Args:
        views: Name of a side -> view that it reads.
        items: One item of the training set.

    Returns:
        Name of a side -> (boxes, shape). Boxes are NumPy arrays, because each tensor from another
        process would keep a file open.
    """
    (item,) = items
    inputs = item['inputs']
    boxes = get_box_tensor(item['data_samples'].gt_instances.bboxes).numpy()
    read = {}
    for side, view in views.items():
        if not isinstance(inputs, Mapping) and len(set(views.values())) == 1:
            read[side] = boxes, tuple(inputs.shape[-2:])
        elif isinstance(inputs, Mapping) and view in inputs:
            shape = tuple(inputs[view].shape[-2:])
            read[side] = boxes * (shape[1] / inputs['lr'].shape[-1]), shape  # boxes are those of lr
        else:
            raise ValueError(
                f'the {side} reads {f"view {view!r}" if view else "one image"}, but the training '
                f'pipeline returns {_names(inputs)}: set the views of its LowResolution'
            )
    return read


def _names(inputs: Mapping | Tensor) -> str:
    return str(sorted(inputs)) if isinstance(inputs, Mapping) else 'one image'
