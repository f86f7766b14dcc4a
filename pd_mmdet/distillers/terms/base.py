"""Terms of a distiller's loss: what all of them have, and what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmengine.registry import Registry
from torch import Tensor, nn

from ...losses.base import DistillationLoss
from ...taps import Tap


class StepOutputs(NamedTuple):
    """What terms compare in one training step.

    Attributes:
        student: Path of a tapped module -> what it put out in the student.
        teacher: The same of the teacher; empty where no term has a teacher's tap.
        image: Large images (N, C, H, W) in the student's normalisation; None where no term asks.
        data_samples: The student's.
    """

    student: Mapping[str, Any]
    teacher: Mapping[str, Any]
    image: Tensor | None
    data_samples: list


@dataclass(frozen=True)
class TermProbe:
    """A pass of both networks over a blank image, by which a term learns what it compares.

    Attributes:
        registry: Builds the term's loss.
        models: The student and the teacher.
        outputs: What the student and the teacher put out at the term's taps.
        pixels: Side of the image as the student and as the teacher read it.
    """

    registry: Registry
    models: tuple[nn.Module, nn.Module]
    outputs: tuple[Any, Any]
    pixels: tuple[int, int]


class Term(nn.Module):
    """One term of a distiller's loss. The student is compared with the large image.

    Attributes:
        student: The tap of the student.
        weight: Factor of the term in the total loss.
    """

    def __init__(self, student: str, weight: float) -> None:
        super().__init__()
        self.student = Tap.parse(student)
        self.weight = weight

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        """Return the weighted term, a scalar.

        Args:
            model: The distiller.
            step: What both networks put out.
        """
        raise NotImplementedError


class TeacherTerm(Term):
    """A term that compares the student with the teacher.

    Attributes:
        teacher: The tap of the teacher.
    """

    def __init__(self, student: str, teacher: str, weight: float) -> None:
        super().__init__(student, weight)
        self.teacher = Tap.parse(teacher)


def build_loss(registry: Registry, loss: dict, kind: type[DistillationLoss], tap: str) -> nn.Module:
    """Build the loss of a term.

    Args:
        registry: Builds it.
        loss: Its config.
        kind: What the term compares: a base class of :mod:`pd_mmdet.losses.base`.
        tap: The student's tap, for the message.

    Raises:
        TypeError: The loss compares something else. Losses of other packages pass: what they
            compare is not known.
    """
    built = registry.build(loss)
    if isinstance(built, DistillationLoss) and not isinstance(built, kind):
        raise TypeError(
            f'{type(built).__name__} compares {built.compares}, but tap {tap!r} of the student '
            f'is for {kind.compares}'
        )
    return built


def compare(loss: nn.Module, student: Tensor, teacher: Tensor, *labels: Tensor) -> Tensor:
    """Compute a loss in float32, also in mixed precision."""
    # Autocast would round products.
    with torch.autocast(student.device.type, enabled=False):
        return loss(student.float(), teacher.float(), *labels)
