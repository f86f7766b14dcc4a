"""Losses between the outputs of two dense heads in training, prior by prior.

Both heads have the same priors for a photograph, in the same order. The output of each head is
read, and its boxes are decoded, by the reader of that head (see :mod:`pd_mmdet.losses.readers`).
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
    """Use the teacher's class scores as soft labels for the student, at every prior.

    - Heads with sigmoid scores: quality focal loss (GFL, Li et al., NeurIPS 2020,
      arXiv 2006.04388), summed over classes.
    - Heads with softmax scores: KL divergence at temperature 1, averaged over classes as in
      MMDetection.
    - Heads whose class scores are multiplied by an objectness (YOLOX, YOLOv3, AutoAssign): as for
      sigmoid scores, but the products are compared.

    The loss is the sum over priors, divided by the sum of the squares of the teacher's best scores
    (at least 1; the mean over all processes). Without the squares, ten thousand background priors
    with a score of 0.01 would count as much as a hundred objects.

    Args:
        beta (float): Exponent of the modulating factor of the quality focal loss.
    """

    def __init__(self, beta: float = 2.0) -> None:
        super().__init__()
        self.beta = beta
        self.kl = KnowledgeDistillationKLDivLoss(T=1)

    def check_head(self, head: nn.Module) -> None:
        """Refuse a head without class scores on fixed priors.

        Raises:
            TypeError: The class scores of the head cannot be read.
        """
        reader_of(head).check_logits(self, head)

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse two heads of which one has sigmoid scores and the other softmax scores.

        Raises:
            TypeError: The two kinds of scores differ.
        """
        if has_softmax(student) != has_softmax(teacher):
            scores = [
                f'{type(head).__name__} {"softmax" if has_softmax(head) else "sigmoid"} scores'
                for head in (student, teacher)
            ]
            raise TypeError(
                f"DenseHeadClsLoss cannot compare the student's {scores[0]} with the teacher's "
                f'{scores[1]}: give both the same loss_cls.use_sigmoid'
            )

    def forward(self, student: DenseHeadOutput, teacher: DenseHeadOutput) -> Tensor:
        """Compare the class scores; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The maps of the two heads have different sizes.
        """
        _check_cells(student, teacher)
        pred, soft_label = student.class_logits(), teacher.class_logits().detach()
        normaliser = _normaliser(best_score(teacher.head, soft_label).square())
        if has_softmax(student.head):
            return self.kl(pred, soft_label, reduction_override='none').sum() / normaliser
        return self._quality_focal(pred, soft_label.sigmoid()) / normaliser

    def _quality_focal(self, pred: Tensor, target: Tensor) -> Tensor:
        # MMDetection's quality focal loss for dense targets has the same values, but it is six
        # times slower: it selects targets above 0 by boolean indexing, which synchronises a GPU.
        entropy = F.binary_cross_entropy_with_logits(pred, target, reduction='none')
        return (entropy * (target - pred.sigmoid()).abs().pow(self.beta)).sum()


@MODELS.register_module()
class DenseHeadBoxLoss(DenseHeadLoss):
    """Compare the boxes of student and teacher by an IoU loss, where the teacher is confident.

    The weight of a prior is the teacher's confidence: the score by which its head ranks boxes
    (including centerness, objectness or predicted IoU, if the head has one). It is 0 below the
    threshold, and for boxes without area. The loss is the weighted sum over priors, divided by the
    sum of the weights (at least 1; the mean over all processes).

    Args:
        score_thr (float): Confidence in [0, 1] below which a prior does not count.
        iou_loss (dict): Config of an IoU loss of MMDetection.
    """

    def __init__(
        self, score_thr: float = 0.1, iou_loss: ConfigType = dict(type='GIoULoss')
    ) -> None:
        super().__init__()
        self.score_thr = score_thr
        self.iou_loss = MODELS.build(iou_loss)

    def check_head(self, head: nn.Module) -> None:
        """Refuse a head without boxes on fixed priors.

        Raises:
            TypeError: The boxes of the head cannot be decoded.
        """
        reader_of(head).check_boxes(self, head)

    def forward(self, student: DenseHeadOutput, teacher: DenseHeadOutput) -> Tensor:
        """Compare the boxes; the teacher's get no gradient.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The maps of the two heads have different sizes.
        """
        _check_cells(student, teacher)
        with torch.no_grad():
            weight = _weight(teacher, self.score_thr)
            # Decode only the few priors at which the teacher is confident.
            chosen = weight.nonzero().squeeze(1)
            targets = teacher.boxes(chosen)
            weight = weight[chosen] * (targets[:, 2:] > targets[:, :2]).all(1)
        boxes = student.boxes(chosen)
        loss = self.iou_loss(boxes, targets, reduction_override='none')
        return (loss * weight).sum() / _normaliser(weight)


@MODELS.register_module()
class DenseHeadDistributionLoss(DenseHeadLoss):
    """Compare the distributions of box sides by KL divergence, where the teacher is confident.

    The divergence is averaged over bins and the four sides, and multiplied by T^2. Priors are
    weighted, and the sum is normalised, as in :class:`DenseHeadBoxLoss`.

    Source: LD (Zheng et al., CVPR 2022, arXiv 2102.12252), but on all priors at which the teacher
    is confident, instead of on a selected region.

    Args:
        T (int): Temperature, at least 1.
        score_thr (float): Confidence in [0, 1] below which a prior does not count.
    """

    def __init__(self, T: int = 10, score_thr: float = 0.1) -> None:
        super().__init__()
        self.score_thr = score_thr
        self.kl = KnowledgeDistillationKLDivLoss(T=T)

    def check_head(self, head: nn.Module) -> None:
        """Refuse a head that does not predict distributions of box sides.

        Raises:
            TypeError: The head is not a ``GFLHead``.
        """
        if not isinstance(head, GFLHead):
            refuse(self, head, 'distributions of box sides (reg_max), as GFLHead returns them')

    def check_pair(self, student: GFLHead, teacher: GFLHead) -> None:
        """Refuse two heads with different numbers of bins.

        Raises:
            TypeError: ``reg_max`` differs.
        """
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
            ValueError: The maps of the two heads have different sizes.
        """
        _check_cells(student, teacher)
        pred, soft_label = _side_distributions(student), _side_distributions(teacher).detach()
        loss = self.kl(pred, soft_label, reduction_override='none').view(-1, 4).mean(1)
        with torch.no_grad():
            weight = _weight(teacher, self.score_thr)
        return (loss * weight).sum() / _normaliser(weight)


def _side_distributions(output: DenseHeadOutput) -> Tensor:
    """Return the logits (P · 4, bins) of the distributions of the four box sides."""
    return output.rows(1).reshape(-1, output.head.reg_max + 1)


def _check_cells(student: DenseHeadOutput, teacher: DenseHeadOutput) -> None:
    for i, j in zip(student.levels, teacher.levels, strict=True):
        student_cells, teacher_cells = (
            (maps.shape[0], *maps.shape[-2:])
            for maps in (student.outputs[0][i], teacher.outputs[0][j])
        )
        if student_cells != teacher_cells:
            raise ValueError(
                f"level {i}: the maps of the student's head have (N, H, W) = {student_cells}, "
                f"those of the teacher's {teacher_cells}: they must be equal"
            )


def _weight(teacher: DenseHeadOutput, score_thr: float) -> Tensor:
    score = teacher.confidence()
    return score * (score >= score_thr)


def _normaliser(weight: Tensor) -> Tensor:
    return reduce_mean(weight.sum()).clamp(min=1)
