"""Term that compares the logits of classifiers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...losses import LogitLoss
from .base import StepOutputs, TeacherTerm, TermProbe, build_loss, compare


class LogitTerm(TeacherTerm):
    """A term that compares the logits of classifiers.

    Args:
        probe: Outputs of the heads for a blank image.
        student: Tap of the student's head.
        teacher: Tap of the teacher's head.
        loss: Config of a loss of logits (N, classes), see :class:`~pd_mmdet.losses.LogitLoss`.
        weight: Factor of the term in the total loss.

    Raises:
        TypeError: The loss does not compare logits.
        ValueError: The output at a tap is no logits, or the numbers of classes differ.
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
                f'{student!r} of the student has logits of {student_classes} classes, '
                f'{teacher!r} of the teacher of {teacher_classes}: they must be the same classes'
            )
        self._try_loss(*probe.outputs)

    def _try_loss(self, student: Tensor, teacher: Tensor) -> None:
        self.loss.eval()  # in training mode DKDLoss would count this as an iteration
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
        """Tell whether the loss needs the label of each image."""
        return isinstance(self.loss, LogitLoss) and self.loss.with_labels

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        student, teacher = step.student[self.student.path], step.teacher[self.teacher.path]
        labels = []
        if self.with_labels:
            labels = [torch.cat([sample.gt_label for sample in step.data_samples])]
        return self.weight * compare(self.loss, student, teacher, *labels)

    def check_batch_augments(self) -> None:
        """Refuse a loss that needs labels, for a student whose batch augmentations mix labels.

        Raises:
            ValueError: The loss needs labels.
        """
        if self.with_labels:
            raise ValueError(
                f'{type(self.loss).__name__} needs one label for each image, but '
                'train_cfg.augments (or batch_augments) of the student mix labels: remove them, or '
                "use loss=dict(type='KDLoss')"
            )
