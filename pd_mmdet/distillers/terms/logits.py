from __future__ import annotations

from typing import Any

import torch
from mmengine.registry import Registry
from torch import Tensor, nn

from ...taps import Tap
from .feature import compare


class LogitTerm(nn.Module):
    """A distillation term on the logits of classifiers: student tap, teacher tap, loss, weight.

    Args:
        registry: The registry that builds the loss.
        student: Tap of the student's head.
        teacher: Tap of the teacher's.
        loss: Config of a loss that takes the logits (N, C) of student and teacher; one that says
            ``with_labels = True`` takes the labels (N,), too.
        weight: Factor of the term in the total loss.
        outputs: What the heads put out for one photograph.

    Raises:
        TypeError: If the loss does not take logits.
        ValueError: If the outputs are no logits, or of other numbers of classes.
    """

    def __init__(
        self,
        registry: Registry,
        student: str,
        teacher: str,
        loss: dict,
        weight: float,
        outputs: tuple[Any, Any],
    ) -> None:
        super().__init__()
        self.student, self.teacher = Tap.parse(student), Tap.parse(teacher)
        self.weight = weight
        self.loss = registry.build(loss)
        for tap, output in zip((student, teacher), outputs):
            if not isinstance(output, Tensor) or output.ndim != 2:
                raise ValueError(f'tap {tap!r} puts out no logits of shape (N, classes)')
        own, other = (output.shape[1] for output in outputs)
        if own != other:
            raise ValueError(
                f'{student!r} of the student tells {own} classes apart, '
                f'{teacher!r} of the teacher {other}: they must be the same'
            )

        self._try_loss(*outputs)

    def _try_loss(self, *logits: Tensor) -> None:
        self.loss.eval()  # so that none counts this as an iteration
        try:
            self._compare(*logits, torch.zeros(len(logits[0]), dtype=torch.long))
        except (IndexError, RuntimeError, ValueError) as error:
            raise TypeError(
                f'{type(self.loss).__name__} does not compare logits (N, classes): {error}'
            ) from error
        self.loss.train()

    @property
    def with_labels(self) -> bool:
        """Whether the loss must know the label of each image."""
        return getattr(self.loss, 'with_labels', False)

    def forward(
        self, model: nn.Module, student_output: Tensor, teacher_output: Tensor, data_samples: list
    ) -> Tensor:
        """The weighted term, a scalar; ``data_samples`` carry the labels."""
        labels = None
        if self.with_labels:
            labels = torch.cat([sample.gt_label for sample in data_samples])
        return self.weight * self._compare(student_output, teacher_output, labels)

    def _compare(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        return compare(self.loss, student, teacher, *([labels] if self.with_labels else []))
