from __future__ import annotations

from typing import Any

from mmdet.registry import MODELS
from torch import Tensor, nn

from ...taps import Tap
from ..roi_head_taps import ROI_TAP, Judged, bbox_heads


class RoIHeadTerm(nn.Module):
    """A distillation term on the outputs of RoI heads: student tap, teacher tap, loss, weight.

    Both judge the RoIs that the student has sampled for its own loss; in a cascade those of every
    stage. The term is the mean of the loss over the stages, times the weight.

    Args:
        models: Student and teacher.
        student: The tap ``roi_head.bbox_head``.
        teacher: The same.
        loss: Config of a RoI head's loss, see :mod:`pd_mmdet.losses.roi_head`.
        weight: Factor of the term in the total loss.

    Raises:
        ValueError: If a tap is another one, the cascades have not as many stages, or the heads
            encode boxes differently.
        TypeError: If the loss does not suit a head.
    """

    def __init__(
        self,
        models: tuple[nn.Module, nn.Module],
        student: str,
        teacher: str,
        loss: dict,
        weight: float,
        **_: Any,
    ) -> None:
        super().__init__()
        if {student, teacher} != {ROI_TAP}:
            raise ValueError(
                f'taps {student!r} of the student and {teacher!r} of the teacher: RoI heads are '
                f'compared at {ROI_TAP!r} of both'
            )
        self.student, self.teacher = Tap.parse(student), Tap.parse(teacher)
        self.weight = weight
        self.loss = MODELS.build(loss)
        if not hasattr(self.loss, 'check_roi_heads'):
            raise TypeError(
                f'{type(self.loss).__name__} does not compare RoI heads, but tap {student!r} is one'
            )
        heads = [bbox_heads(model.roi_head) for model in models]
        if len(heads[0]) != len(heads[1]):
            raise ValueError(
                f"the student's RoI head has {len(heads[0])} stages, the teacher's {len(heads[1])}"
            )
        for own, other in zip(*heads):
            self.loss.check_roi_heads(own, other)

    def forward(
        self,
        model: nn.Module,
        student_output: list[Judged],
        teacher_output: list[Judged],
        data_samples: list,
    ) -> Tensor:
        """The weighted term, a scalar; ``model`` is the student."""
        heads = bbox_heads(model.roi_head)
        losses = [
            self.loss(heads[own.stage], own, other)
            for own, other in zip(student_output, teacher_output, strict=True)
        ]
        return self.weight * sum(losses) / len(losses)
