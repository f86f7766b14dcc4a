"""Losses between the predictions of two RoI heads for the same boxes."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.bbox_heads import BBoxHead, MultiInstanceBBoxHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import ConfigType, reduce_mean
from torch import Tensor, nn

from .base import RoIHeadLoss, refuse


class RoIHeadOutput(NamedTuple):
    """The predictions of one stage of a RoI head for its RoIs.

    Attributes:
        stage: Index of the stage in a cascade; 0 in any other head.
        rois: RoIs (R, 5): index of the image, then x1 y1 x2 y2 in the head's pixels.
        cls_score: Logits (R, classes + 1), the background last.
        bbox_pred: Deltas (R, 4) or (R, 4 · classes); None if the head predicts no boxes.
    """

    stage: int
    rois: Tensor
    cls_score: Tensor
    bbox_pred: Tensor | None


@MODELS.register_module()
class RoIHeadClsLoss(RoIHeadLoss):
    """Compare the class probabilities of two RoI heads.

    The loss is KL(teacher || student), averaged over RoIs.

    Source: Hinton et al., arXiv 1503.02531, at temperature 1.
    """

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse a head without softmax scores.

        Raises:
            TypeError: The student's or the teacher's head has no softmax scores.
        """
        for head in (student, teacher):
            _check_softmax(self, head)

    def forward(self, head: BBoxHead, student: RoIHeadOutput, teacher: RoIHeadOutput) -> Tensor:
        """Compare the class logits; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.
        """
        wanted = teacher.cls_score.detach().float().log_softmax(1)
        # reduction='batchmean' would be nan if there are no RoIs.
        total = F.kl_div(
            student.cls_score.float().log_softmax(1), wanted, reduction='sum', log_target=True
        )
        return total / max(len(wanted), 1)


@MODELS.register_module()
class RoIHeadBoxLoss(RoIHeadLoss):
    """Compare the boxes of two RoI heads by an IoU loss, where the teacher is confident.

    For each RoI the box of the teacher's best class is compared. The weight of a RoI is the
    teacher's confidence (1 minus the score of the background), and 0 below the threshold. The loss
    is the weighted sum over RoIs, divided by the sum of the weights (at least 1; the mean over all
    processes).

    Args:
        score_thr (float): Confidence in [0, 1] below which a RoI does not count.
        iou_loss (dict): Config of an IoU loss of MMDetection.
    """

    def __init__(
        self, score_thr: float = 0.1, iou_loss: ConfigType = dict(type='GIoULoss')
    ) -> None:
        super().__init__()
        self.score_thr = score_thr
        self.iou_loss = MODELS.build(iou_loss)

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse heads whose boxes cannot be decoded, or that encode them differently.

        Raises:
            TypeError: A head has no softmax scores, or its boxes cannot be decoded.
            ValueError: The heads encode boxes with different means or stds.
        """
        for head in (student, teacher):
            _check_softmax(self, head)
            coder = getattr(head, 'bbox_coder', None)
            deltas = isinstance(coder, DeltaXYWHBBoxCoder) and getattr(head, 'with_reg', True)
            if not deltas:
                refuse(self, head, 'boxes as DeltaXYWHBBoxCoder encodes them')
        student_coder, teacher_coder = (
            (*head.bbox_coder.means, *head.bbox_coder.stds) for head in (student, teacher)
        )
        if student_coder != teacher_coder:
            raise ValueError(
                "bbox_coder: the student's RoI head has target_means and target_stds "
                f"{student_coder}, the teacher's {teacher_coder}: for {type(self).__name__} they "
                'must be equal'
            )

    def forward(self, head: BBoxHead, student: RoIHeadOutput, teacher: RoIHeadOutput) -> Tensor:
        """Compare the boxes; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.
        """
        with torch.no_grad():
            scores = teacher.cls_score.float().softmax(1)
            confidence = 1 - scores[:, -1]
            weight = confidence * (confidence >= self.score_thr)
            best = scores[:, :-1].argmax(1)
            targets = _decode(head, student.rois, teacher.bbox_pred, best)
        boxes = _decode(head, student.rois, student.bbox_pred, best)
        loss = self.iou_loss(boxes, targets, reduction_override='none')
        return (loss * weight).sum() / reduce_mean(weight.sum()).clamp(min=1)


def _check_softmax(loss: nn.Module, head: nn.Module) -> None:
    one_softmax = (
        isinstance(head, BBoxHead)
        and not isinstance(head, MultiInstanceBBoxHead)
        and getattr(head, 'with_cls', True)
        and not (head.custom_activation or head.loss_cls.use_sigmoid)
    )
    if not one_softmax:
        trained_by = type(getattr(head, 'loss_cls', None)).__name__
        needs = f'one softmax over classes and background, but its loss_cls is a {trained_by}'
        refuse(loss, head, needs)


def _decode(head: BBoxHead, rois: Tensor, bbox_pred: Tensor | None, classes: Tensor) -> Tensor:
    """Decode the box (R, 4) of one class for each RoI.

    Args:
        head: The student's box head, whose coder decodes.
        rois: (R, 5) in the student's pixels, and so is the result.
        bbox_pred: (R, 4) or (R, 4 · classes) deltas.
        classes: (R,) index of the class for each RoI.
    """
    assert bbox_pred is not None  # `check_pair` refuses heads without boxes
    deltas = bbox_pred.float().unflatten(1, (-1, 4))
    if deltas.shape[1] > 1:
        deltas = deltas[torch.arange(len(rois), device=rois.device), classes]
    return get_box_tensor(head.bbox_coder.decode(rois[:, 1:].float(), deltas.flatten(1)))
