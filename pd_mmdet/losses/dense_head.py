"""Losses between what two dense heads return in training, prior by prior.

All of them are called with the student's head, both sides' outputs of the levels they share, and
the indices of those levels among the student's. Outputs are lists of (N, A * d, H, W) tensors.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import (
    AnchorHead,
    GFLHead,
    GuidedAnchorHead,
    StageCascadeRPNHead,
    TOODHead,
)
from mmdet.models.losses import KnowledgeDistillationKLDivLoss
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder, TBLRBBoxCoder
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import ConfigType, reduce_mean
from torch import Tensor, nn

# Anchor heads by inheritance only: TOOD returns probabilities and decoded boxes instead of logits
# and deltas, the others move their anchors in every image.
NOT_ON_FIXED_PRIORS = (TOODHead, GuidedAnchorHead, StageCascadeRPNHead)


@MODELS.register_module()
class DenseHeadClsLoss(nn.Module):
    """The teacher's class scores as soft labels of the student, at every prior.

    Heads with sigmoid scores: quality focal loss (GFL, Li et al., NeurIPS 2020, arXiv 2006.04388),
    summed over classes. Heads with softmax scores: KL divergence at temperature 1, averaged over
    classes as MMDetection does.
    The sum over priors is divided by the sum of the teacher's squared confidences, at least 1 and
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
        """Raise TypeError for a head that does not return class logits on fixed priors."""
        served = isinstance(head, AnchorHead) and not isinstance(head, NOT_ON_FIXED_PRIORS)
        require(served, self, head, 'class logits on fixed priors, as AnchorHead returns them')

    def forward(
        self,
        head: AnchorHead,
        student: Sequence[list[Tensor]],
        teacher: Sequence[list[Tensor]],
        levels: list[int],
    ) -> Tensor:
        """Compare the class logits, ``student[0]`` and ``teacher[0]``.

        Args:
            head (AnchorHead): The student's head.
            student (Sequence[list[Tensor]]): Its outputs, class logits first.
            teacher (Sequence[list[Tensor]]): The teacher's, in the same shapes; get no gradient.
            levels (list[int]): The student's levels that the lists hold.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The two sides differ in shape.
        """
        _check_shapes(student[0], teacher[0], levels)
        pred = _by_prior(student[0], head.cls_out_channels)
        soft_label = _by_prior(teacher[0], head.cls_out_channels).detach()
        normaliser = _normaliser(_confidence(head, soft_label).square())
        if head.use_sigmoid_cls:
            return self._quality_focal(pred, soft_label.sigmoid()) / normaliser
        return self.kl(pred, soft_label, reduction_override='none').sum() / normaliser

    def _quality_focal(self, pred: Tensor, target: Tensor) -> Tensor:
        # MMDetection's own, for dense targets, has these values, but finds the targets above 0 with
        # boolean indexing: six times slower here, and a device synchronisation.
        entropy = F.binary_cross_entropy_with_logits(pred, target, reduction='none')
        return (entropy * (target - pred.sigmoid()).abs().pow(self.beta)).sum()


@MODELS.register_module()
class DenseHeadBoxLoss(nn.Module):
    """IoU loss between the boxes of the two sides, where the teacher is confident.

    Both sides' outputs are decoded on the student's priors. Weights are the teacher's confidences,
    0 below the threshold; the weighted sum is divided by theirs, at least 1 and the same in all
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
        served = isinstance(head, GFLHead) or (
            isinstance(head, AnchorHead)
            and not isinstance(head, NOT_ON_FIXED_PRIORS)
            and isinstance(head.bbox_coder, (DeltaXYWHBBoxCoder, TBLRBBoxCoder))
        )
        needs = 'boxes that DeltaXYWHBBoxCoder, TBLRBBoxCoder or GFLHead decodes on fixed priors'
        require(served, self, head, needs)

    def forward(
        self,
        head: AnchorHead,
        student: Sequence[list[Tensor]],
        teacher: Sequence[list[Tensor]],
        levels: list[int],
    ) -> Tensor:
        """Compare the boxes, ``student[1]`` and ``teacher[1]``.

        Args:
            head (AnchorHead): The student's head.
            student (Sequence[list[Tensor]]): Its outputs: class logits, boxes as the head encodes
                them, and others that are not read.
            teacher (Sequence[list[Tensor]]): The teacher's, in the same shapes; get no gradient.
            levels (list[int]): The student's levels that the lists hold.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The two sides differ in shape.
        """
        _check_shapes(student[1], teacher[1], levels)
        with torch.no_grad():
            weight = _weight(head, teacher[0], self.score_thr)
            # The teacher is confident at few of ten thousand priors: decode only these.
            chosen = weight.nonzero().squeeze(1)
            targets = _decode(head, teacher[1], levels, chosen)
        boxes = _decode(head, student[1], levels, chosen)
        loss = self.iou_loss(boxes, targets, reduction_override='none')
        return (loss * weight[chosen]).sum() / _normaliser(weight)


@MODELS.register_module()
class DenseHeadDistributionLoss(nn.Module):
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
        needs = 'distributions of box sides (reg_max), as GFLHead returns them'
        require(isinstance(head, GFLHead), self, head, needs)

    def forward(
        self,
        head: GFLHead,
        student: Sequence[list[Tensor]],
        teacher: Sequence[list[Tensor]],
        levels: list[int],
    ) -> Tensor:
        """Compare the distributions' logits, ``student[1]`` and ``teacher[1]``.

        Args:
            head (GFLHead): The student's head.
            student (Sequence[list[Tensor]]): Its outputs: class logits, distributions' logits.
            teacher (Sequence[list[Tensor]]): The teacher's, in the same shapes; get no gradient.
            levels (list[int]): The student's levels that the lists hold.

        Returns:
            Tensor: Scalar, float32.

        Raises:
            ValueError: The two sides differ in shape.
        """
        _check_shapes(student[1], teacher[1], levels)
        bins = head.reg_max + 1
        pred, soft_label = _by_prior(student[1], bins), _by_prior(teacher[1], bins).detach()
        loss = self.kl(pred, soft_label, reduction_override='none').view(-1, 4).mean(1)
        with torch.no_grad():
            weight = _weight(head, teacher[0], self.score_thr)
        return (loss * weight).sum() / _normaliser(weight)


def require(served: bool, loss: nn.Module, head: nn.Module, needs: str) -> None:
    """Raise TypeError, unless a loss serves a head."""
    if not served:
        raise TypeError(f'{type(loss).__name__} cannot serve {type(head).__name__}: needs {needs}.')


def _check_shapes(student: list[Tensor], teacher: list[Tensor], levels: list[int]) -> None:
    for level, ours, theirs in zip(levels, student, teacher, strict=True):
        if ours.shape != theirs.shape:
            raise ValueError(
                f"level {level}: the student's head returns {tuple(ours.shape)}, the teacher's "
                f'{tuple(theirs.shape)}; heads are compared on the same priors and classes only.'
            )


def _by_prior(maps: list[Tensor], channels: int) -> Tensor:
    """List of (N, A * channels, H, W) -> (priors of all images, channels), level by level."""
    rows = [level.permute(0, 2, 3, 1).reshape(-1, channels) for level in maps]
    return torch.cat(rows).float()


def _confidence(head: AnchorHead, logits: Tensor) -> Tensor:
    """(P, channels) -> (P,): the best class' sigmoid score, or 1 - the background's softmax."""
    if head.use_sigmoid_cls:
        return logits.amax(1).sigmoid()
    return 1 - logits.softmax(1)[:, -1]


def _weight(head: AnchorHead, cls_scores: list[Tensor], score_thr: float) -> Tensor:
    confidence = _confidence(head, _by_prior(cls_scores, head.cls_out_channels))
    return confidence * (confidence >= score_thr)


def _normaliser(weight: Tensor) -> Tensor:
    return reduce_mean(weight.sum()).clamp(min=1)


def _decode(head: AnchorHead, maps: list[Tensor], levels: list[int], chosen: Tensor) -> Tensor:
    """Boxes (chosen, 4) in pixels of the student's view of some of _by_prior's rows."""
    priors, strides = (rows[chosen] for rows in _priors(head, maps, levels))
    if not isinstance(head, GFLHead):
        return get_box_tensor(head.bbox_coder.decode(priors, _by_prior(maps, 4)[chosen]))
    # the distributions' integral is a matrix product, which autocast would round
    with torch.autocast(maps[0].device.type, enabled=False):
        distances = head.integral(_by_prior(maps, 4 * (head.reg_max + 1))[chosen])
    return get_box_tensor(
        head.bbox_coder.decode(head.anchor_center(priors), distances * strides[:, None])
    )


def _priors(head: AnchorHead, maps: list[Tensor], levels: list[int]) -> tuple[Tensor, Tensor]:
    """Priors (P, 4) and their strides (P,), ordered as _by_prior's rows."""
    priors, strides = [], []
    for level, box_map in zip(levels, maps, strict=True):
        grid = head.prior_generator.single_level_grid_priors(
            box_map.shape[-2:], level_idx=level, dtype=torch.float32, device=box_map.device
        )
        priors.append(get_box_tensor(grid).repeat(len(box_map), 1))
        stride = float(head.prior_generator.strides[level][0])
        strides.append(priors[-1].new_full((len(priors[-1]),), stride))
    return torch.cat(priors), torch.cat(strides)
