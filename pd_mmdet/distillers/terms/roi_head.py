"""Term that compares the predictions of RoI heads."""

from __future__ import annotations

from torch import Tensor, nn

from ...losses import RoIHeadLoss
from ..roi_head_taps import ROI_TAP, bbox_heads
from .base import StepOutputs, TeacherTerm, TermProbe, build_loss


class RoIHeadTerm(TeacherTerm):
    """A term that compares the predictions of RoI heads.

    Both heads predict for the RoIs that the student has sampled for its task loss; in a cascade,
    for those of every stage. The term is the mean of the loss over the stages, times the weight.

    Args:
        probe: Contains both models.
        student: The tap ``roi_head.bbox_head``.
        teacher: The tap ``roi_head.bbox_head``.
        loss: Config of a RoI head's loss, see :class:`~pd_mmdet.losses.RoIHeadLoss`.
        weight: Factor of the term in the total loss.

    Raises:
        ValueError: A tap has another path, or the heads have different numbers of stages, or they
            encode boxes differently.
        TypeError: The loss is for other outputs, or cannot read a head.
    """

    def __init__(
        self, probe: TermProbe, student: str, teacher: str, loss: dict, weight: float
    ) -> None:
        super().__init__(student, teacher, weight)
        if {student, teacher} != {ROI_TAP}:
            raise ValueError(
                f'taps {student!r} of the student and {teacher!r} of the teacher: RoI heads are '
                f'compared at {ROI_TAP!r} of both'
            )
        self.loss = build_loss(probe.registry, loss, RoIHeadLoss, student)
        if not isinstance(self.loss, RoIHeadLoss):
            raise TypeError(
                f'{type(self.loss).__name__} is no RoIHeadLoss, but tap {student!r} is a RoI head'
            )
        student_heads, teacher_heads = (bbox_heads(model.roi_head) for model in probe.models)
        if len(student_heads) != len(teacher_heads):
            raise ValueError(
                f"the student's RoI head has {len(student_heads)} stages, the teacher's "
                f'{len(teacher_heads)}: they must be equal'
            )
        for pair in zip(student_heads, teacher_heads):
            self.loss.check_pair(*pair)

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        heads = bbox_heads(model.roi_head)
        losses = [
            self.loss(heads[student.stage], student, teacher)
            for student, teacher in zip(step.student[ROI_TAP], step.teacher[ROI_TAP], strict=True)
        ]
        return self.weight * sum(losses) / len(losses)
