"""Terms on the logits of classifiers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...losses import LogitLoss
from .base import StepOutputs, TeacherTerm, TermProbe, build_loss, compare


class LogitTerm(TeacherTerm):
    """A term on the logits of classifiers.

    Args:
        probe: What the heads put out.
        student: Tap of the student's head.
        teacher: Tap of the teacher's.
        loss: Config of a loss of two logits (N, classes), see :class:`~pd_mmdet.losses.LogitLoss`.
        weight: Factor of the term in the total loss.

    Raises:
        TypeError: The loss does not take logits.
        ValueError: The outputs are no logits, or of other numbers of classes.
    """

    def __init__(
        self, probe: TermProbe, student: str, teacher: str, loss: dict, weight: float
    ) -> None:
        super().__init__(student, teacher, weight)
        self.loss = build_loss(probe.registry, loss, LogitLoss, student)
        for tap, output in zip((student, teacher), probe.outputs):
            if not isinstance(output, Tensor) or output.ndim != 2:
                raise ValueError(f'tap {tap!r} puts out no logits of shape (N, classes)')
        student_classes, teacher_classes = (output.shape[1] for output in probe.outputs)
        if student_classes != teacher_classes:
            raise ValueError(
                f'{student!r} of the student tells {student_classes} classes apart, '
                f'{teacher!r} of the teacher {teacher_classes}: they must be the same'
            )
        self._try_loss(*probe.outputs)

    def _try_loss(self, student: Tensor, teacher: Tensor) -> None:
        self.loss.eval()  # so that none counts this as an iteration
        try:
            labels = [torch.zeros(len(student), dtype=torch.long)] if self.with_labels else []
            compare(self.loss, student, teacher, *labels)
        except (IndexError, RuntimeError, ValueError) as error:
            raise TypeError(
                f'{type(self.loss).__name__} does not compare logits (N, classes): {error}'
            ) from error
        self.loss.train()

    @property
    def with_labels(self) -> bool:
        """Tell whether the loss must know the label of each image."""
        return isinstance(self.loss, LogitLoss) and self.loss.with_labels

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        student, teacher = step.student[self.student.path], step.teacher[self.teacher.path]
        labels = []
        if self.with_labels:
            labels = [torch.cat([sample.gt_label for sample in step.data_samples])]
        return self.weight * compare(self.loss, student, teacher, *labels)

    def check_batch_augments(self) -> None:
        """Refuse, by a ValueError, batch augmentations that mix labels which the loss needs."""
        if self.with_labels:
            raise ValueError(
                f'{type(self.loss).__name__} needs one label an image, but train_cfg.augments (or '
                "batch_augments) of the student mix them: remove these, or choose loss=dict(type='"
                "KDLoss')"
            )
