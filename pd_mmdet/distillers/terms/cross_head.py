"""Term that lets a dense head of the teacher read the student's feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...cpu_operators import cpu_operators
from ...losses.readers import DenseHeadOutput
from ...taps import find_module, run_as_in_training, unseen
from .base import StepOutputs, TeacherTerm, TermProbe
from .dense_head import build_dense_head_loss
from .feature import feature_maps


class CrossHeadTerm(TeacherTerm):
    """A term that compares what one head, the teacher's, says of the student's maps and of its own.

    Gradients pass through the head, which is frozen, into the student's maps. So the student's own
    head follows the ground truth alone, and cannot be torn between it and the teacher.

    Source: CrossKD (Wang et al., CVPR 2024, arXiv 2306.11369). There the student's maps enter
    behind some of the head's convolutions, here before all of them.

    Args:
        probe: The student's maps and the output of the teacher's head, for a blank image.
        student: Tap of the maps that the student's own head reads, see :meth:`Tap.parse`.
        teacher: Tap of the teacher's head; its levels are those that are compared.
        loss: Config of a dense head's loss, see :class:`~pd_mmdet.losses.DenseHeadLoss`.
        weight: Factor of the term in the total loss.

    Attributes:
        crossing: Name under which :attr:`StepOutputs.student` has the result of :meth:`cross`.

    Raises:
        ValueError: The teacher's head cannot read the student's maps, or predicts on other cells
            than from its own.
        TypeError: The loss cannot read the head.
    """

    def __init__(
        self, probe: TermProbe, student: str, teacher: str, loss: dict, weight: float
    ) -> None:
        super().__init__(student, teacher, weight)
        self.crossing = f'{student} -> {teacher}'
        head = find_module(probe.models[1], self.teacher.path, 'teacher')
        self.loss = build_dense_head_loss(probe.registry, loss, teacher, 'teacher')
        self.loss.check_head(head)
        maps, output = feature_maps(self.student, probe.outputs[0]), probe.outputs[1]
        self._check_maps(head, maps, output)
        self.teacher.select(output[0])  # refuses levels that the head does not have
        self.levels = range(len(output[0]))[self.teacher.levels]

    def _check_maps(self, head: nn.Module, maps: list[Tensor], output: Any) -> None:
        """Refuse maps on which the head does not have the cells that it has on the teacher's.

        Args:
            head: The teacher's head.
            maps: The student's maps for a blank image.
            output: The head's output for the teacher's maps.
        """
        told = (
            f'tap {self.student.path!r} of the student puts out maps of (channels, rows, columns) '
            f'= {[tuple(each.shape[1:]) for each in maps]}; '
        )
        right = (
            "tap what the student's own head reads, in a student with the levels and channels of "
            'the teacher: its assistant has them'
        )
        try:
            with cpu_operators(), torch.no_grad():
                crossed = run_as_in_training(head, maps)
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f'{told}{self.teacher.path!r} of the teacher cannot read them ({error}): {right}'
            ) from error
        found, wanted = ([tuple(each.shape[-2:]) for each in out[0]] for out in (crossed, output))
        if found != wanted or len(maps) != len(wanted):
            raise ValueError(
                f'{told}on them {self.teacher.path!r} of the teacher predicts maps of (rows, '
                f"columns) = {found}, but on the teacher's own {wanted}: {right}"
            )

    def cross(self, model: nn.Module, student: Mapping[str, Any]) -> Any:
        """Let the teacher's head read the student's maps; return its output, as in training.

        Args:
            model: The distiller.
            student: Path of a tapped module -> its output in the student.
        """
        head = model.teacher.model.get_submodule(self.teacher.path)
        with unseen():
            return run_as_in_training(head, feature_maps(self.student, student[self.student.path]))

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        head = model.teacher.model.get_submodule(self.teacher.path)
        student, teacher = (
            DenseHeadOutput(head, output, self.levels)
            for output in (step.student[self.crossing], step.teacher[self.teacher.path])
        )
        return self.weight * self.loss(student, teacher)
