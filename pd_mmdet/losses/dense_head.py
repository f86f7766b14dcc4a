"""Losses between the outputs of two dense heads in training, prior by prior.

The priors of both are the same for one photograph, in the same order. Each side is read, and its
boxes are decoded, in the form and the pixels of its own head (see :mod:`pd_mmdet.losses.readers`).
"""

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import GFLHead
from mmdet.models.losses import KnowledgeDistillationKLDivLoss
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, reduce_mean
from torch import Tensor, nn

from .base import DenseHeadLoss, refuse
from .readers import DenseHeadOutput, best_score, has_softmax, reader_of


@MODELS.register_module()
class DenseHeadClsLoss(DenseHeadLoss):
    """The teacher's class scores as soft labels of the student, at every prior.

    Heads with sigmoid scores: quality focal loss (GFL, Li et al., NeurIPS 2020, arXiv 2006.04388),
    summed over classes. Heads with softmax scores: KL divergence at temperature 1, averaged over
    classes as MMDetection does. Where a head trains its classes as factors of a product with the
    objectness, or on objects only (YOLOX, YOLOv3, AutoAssign), the product is compared.
    The sum over priors is divided by the sum of the teacher's squared best scores, at least 1 and
    the same in all processes. Squared, because ten thousand background priors at 0.01 would
    otherwise weigh as much as a hundred objects.

    Args:
        beta (float): Exponent of the quality focal loss' modulating factor.
    """

    def __init__(self, beta: float = 2.0) -> None:
        super().__init__()
        self.beta = beta
        self.kl = KnowledgeDistillationKLDivLoss(T=1)

    def check_head(self, head: nn.Module) -> None:
        """Raise TypeError for a head that does not return class scores on fixed priors."""
        reader_of(head).check_logits(self, head)

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Raise TypeError for two heads of which one has sigmoid, the other softmax scores."""
        if has_softmax(student) != has_softmax(teacher):
            scores = [
                f'{type(head).__name__} {"softmax" if has_softmax(head) else "sigmoid"} scores'
                for head in (student, teacher)
            ]
            raise TypeError(
                f"DenseHeadClsLoss: the student's {scores[0]}, the teacher's {scores[1]} cannot be "
                'compared: '
                'give both the same loss_cls.use_sigmoid'
            )

    def forward(self, student: DenseHeadOutput, teacher: DenseHeadOutput) -> Tensor:
        """Compare the class scores; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The two sides have not the same cells.
        """
        _check_cells(student, teacher)
        pred, soft_label = student.class_logits(), teacher.class_logits().detach()
        normaliser = _normaliser(best_score(teacher.head, soft_label).square())
        if has_softmax(student.head):
            return self.kl(pred, soft_label, reduction_override='none').sum() / normaliser
        return self._quality_focal(pred, soft_label.sigmoid()) / normaliser

    def _quality_focal(self, pred: Tensor, target: Tensor) -> Tensor:
        # MMDetection's own, for dense targets, has these values, but finds the targets above 0 with
        # boolean indexing: six times slower here, and a device synchronisation.
        entropy = F.binary_cross_entropy_with_logits(pred, target, reduction='none')
        return (entropy * (target - pred.sigmoid()).abs().pow(self.beta)).sum()


@MODELS.register_module()
class DenseHeadBoxLoss(DenseHeadLoss):
    """IoU loss between the boxes of the two sides, where the teacher is confident.

    Weights are the teacher's confidences, the scores by which its head ranks boxes (with the
    centerness, the objectness or the predicted IoU where it has one), 0 below the threshold and
    for boxes without area; the weighted sum is divided by theirs, at least 1 and the same in all
    processes.

    Args:
        score_thr (float): Confidence in [0, 1] below which a prior does not count.
        iou_loss (dict): Config of one of MMDetection's IoU losses.
    """

    def __init__(
        self, score_thr: float = 0.1, iou_loss: ConfigType = dict(type='GIoULoss')
    ) -> None:
        super().__init__()
        self.score_thr = score_thr
        self.iou_loss = MODELS.build(iou_loss)

    def check_head(self, head: nn.Module) -> None:
        """Raise TypeError for a head whose boxes cannot be decoded on fixed priors."""
        reader_of(head).check_boxes(self, head)

    def forward(self, student: DenseHeadOutput, teacher: DenseHeadOutput) -> Tensor:
        """Compare the boxes; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The two sides have not the same cells.
        """
        _check_cells(student, teacher)
        with torch.no_grad():
            weight = _weight(teacher, self.score_thr)
            # The teacher is confident at few of ten thousand priors: decode only these.
            chosen = weight.nonzero().squeeze(1)
            targets = teacher.boxes(chosen)
            weight = weight[chosen] * (targets[:, 2:] > targets[:, :2]).all(1)
        boxes = student.boxes(chosen)
        loss = self.iou_loss(boxes, targets, reduction_override='none')
        return (loss * weight).sum() / _normaliser(weight)


@MODELS.register_module()
class DenseHeadDistributionLoss(DenseHeadLoss):
    """KL divergence between box side distributions, where the teacher is confident.

    Averaged over bins and the four sides, times T^2; weighted and normalised as in
    :class:`DenseHeadBoxLoss`.

    Source: LD (Zheng et al., CVPR 2022, arXiv 2102.12252), on all confident priors instead of a
    selected region.

    Args:
        T (int): Temperature, at least 1.
        score_thr (float): Confidence in [0, 1] below which a prior does not count.
    """

    def __init__(self, T: int = 10, score_thr: float = 0.1) -> None:
        super().__init__()
        self.score_thr = score_thr
        self.kl = KnowledgeDistillationKLDivLoss(T=T)

    def check_head(self, head: nn.Module) -> None:
        """Raise TypeError for a head that does not predict distributions of box sides."""
        if not isinstance(head, GFLHead):
            refuse(self, head, 'distributions of box sides (reg_max), as GFLHead returns them')

    def check_pair(self, student: GFLHead, teacher: GFLHead) -> None:
        """Raise TypeError for distributions over different bins."""
        if student.reg_max != teacher.reg_max:
            raise TypeError(
                f'DenseHeadDistributionLoss: the student has reg_max={student.reg_max}, the '
                f'teacher {teacher.reg_max}: they must be equal'
            )

    def forward(self, student: DenseHeadOutput, teacher: DenseHeadOutput) -> Tensor:
        """Compare the distributions; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The two sides have not the same cells.
        """
        _check_cells(student, teacher)
        pred, soft_label = _side_distributions(student), _side_distributions(teacher).detach()
        loss = self.kl(pred, soft_label, reduction_override='none').view(-1, 4).mean(1)
        with torch.no_grad():
            weight = _weight(teacher, self.score_thr)
        return (loss * weight).sum() / _normaliser(weight)


def _side_distributions(output: DenseHeadOutput) -> Tensor:
    """Logits (P · 4, bins) of the distributions of the distances of the four box sides."""
    return output.rows(1).reshape(-1, output.head.reg_max + 1)


def _check_cells(student: DenseHeadOutput, teacher: DenseHeadOutput) -> None:
    for i, j in zip(student.levels, teacher.levels, strict=True):
        student_cells, teacher_cells = (
            (maps.shape[0], *maps.shape[-2:])
            for maps in (student.outputs[0][i], teacher.outputs[0][j])
        )
        if student_cells != teacher_cells:
            raise ValueError(
                f"level {i}: the student's head answers on (N, H, W) = {student_cells}, the "
                f"teacher's on {teacher_cells}: heads are compared on the same cells only"
            )


def _weight(teacher: DenseHeadOutput, score_thr: float) -> Tensor:
    score = teacher.confidence()
    return score * (score >= score_thr)


def _normaliser(weight: Tensor) -> Tensor:
    return reduce_mean(weight.sum()).clamp(min=1)
