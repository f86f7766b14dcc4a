"""Base classes of the terms of a distiller's loss, and their inputs."""

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
    """The inputs of all terms in one training step.

    Attributes:
        student: Path of a tapped module -> its output in the student.
        teacher: Path of a tapped module -> its output in the teacher.
        image: Large images (N, C, H, W) in the student's normalisation; None if no term needs them.
        data_samples: The samples of the student's view.
    """

    student: Mapping[str, Any]
    teacher: Mapping[str, Any]
    image: Tensor | None
    data_samples: list


@dataclass(frozen=True)
class TermProbe:
    """The outputs for a blank image from which a term is built.

    Attributes:
        registry: Builds the term's loss.
        models: The student and the teacher.
        outputs: Outputs of the student and of the teacher at the term's taps.
        pixels: Side of the square image as the student reads it, and as the teacher reads it.
    """

    registry: Registry
    models: tuple[nn.Module, nn.Module]
    outputs: tuple[Any, Any]
    pixels: tuple[int, int]


class Term(nn.Module):
    """One term of a distiller's loss. It compares the student with the large image.

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
            step: Outputs of both networks.
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


def build_loss(
    registry: Registry,
    loss: dict,
    kind: type[DistillationLoss],
    tap: str,
    side: str = 'student',
) -> nn.Module:
    """Build the loss of a term.

    Args:
        registry: Builds the loss.
        loss: Config of the loss.
        kind: Base class of :mod:`pd_mmdet.losses.base` for the outputs that the term compares.
        tap: The tap that decides what the term compares, for the message.
        side: The network that has this tap, for the message.

    Raises:
        TypeError: The loss is from this package, and compares outputs of another kind. (It is
            unknown what losses of other packages compare.)
    """
    built = registry.build(loss)
    if isinstance(built, DistillationLoss) and not isinstance(built, kind):
        raise TypeError(
            f'{type(built).__name__} compares {built.compares}, but tap {tap!r} of the {side} '
            f'is for {kind.compares}'
        )
    return built


def compare(loss: nn.Module, student: Tensor, teacher: Tensor, *labels: Tensor) -> Tensor:
    """Compute a loss in float32, also in mixed precision."""
    # Autocast would compute products in lower precision.
    with torch.autocast(student.device.type, enabled=False):
        return loss(student.float(), teacher.float(), *labels)
