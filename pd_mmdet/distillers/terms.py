from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.registry import Registry
from torch import Tensor, nn

from ..taps import Tap


class FeatureTerm(nn.Module):
    """A distillation term on feature maps: student tap, teacher tap, loss, weight.

    Levels are matched by stride, that is by the cells they have for one photograph; where channel
    counts differ a 1×1 convolution brings the student's to the teacher's. The term is the mean of
    the loss over the matched levels, times the weight.

    Args:
        registry: The registry that builds the loss.
        student: Tap of the student, see :meth:`Tap.parse`.
        teacher: Tap of the teacher.
        loss: Config of a loss that takes the maps (N, C, H, W) of student and teacher.
        weight: Factor of the term in the total loss.
        outputs: What student and teacher put out at their taps for one photograph.
        pixels: Side of that photograph as each of them reads it.

    Raises:
        ValueError: If a tap puts out something else, or no level of the student has the stride
            of one of the teacher.
    """

    def __init__(
        self,
        registry: Registry,
        student: str,
        teacher: str,
        loss: dict,
        weight: float,
        outputs: tuple[Any, Any],
        pixels: tuple[int, int],
    ) -> None:
        super().__init__()
        self.student, self.teacher = Tap.parse(student), Tap.parse(teacher)
        self.weight = weight
        self.loss = registry.build(loss)
        maps = feature_maps(student, outputs[0]), feature_maps(teacher, outputs[1])
        self.pairs = match_levels(*maps, (student, teacher), pixels)
        channels = [(maps[0][i].shape[1], maps[1][j].shape[1]) for i, j in self.pairs]
        self.adapters = nn.ModuleList(
            nn.Identity() if own == wanted else nn.Conv2d(own, wanted, 1)
            for own, wanted in channels
        )

    def forward(self, model: nn.Module, student_output: Any, teacher_output: Any) -> Tensor:
        """The weighted term, a scalar. ``model`` is not used: a feature term needs no head."""
        student = self.student.select(student_output)
        teacher = self.teacher.select(teacher_output)
        losses = [
            self.loss(adapter(student[i]), teacher[j])
            for adapter, (i, j) in zip(self.adapters, self.pairs)
        ]
        return self.weight * sum(losses) / len(losses)


def feature_maps(tap: str, output: Any) -> list[Tensor]:
    """The maps (N, C, H, W) that a tap selects of an output.

    Raises:
        ValueError: If the tap selects something else.
    """
    levels = Tap.parse(tap).select(output)
    if not all(isinstance(level, Tensor) and level.ndim == 4 for level in levels):
        raise ValueError(f'tap {tap!r} puts out no feature maps of shape (N, C, H, W)')
    return levels


def match_levels(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    taps: tuple[str, str],
    pixels: tuple[int, int],
) -> list[tuple[int, int]]:
    """Pairs (student's level, teacher's level) that have the same cells for one photograph.

    Args:
        student: The student's maps (N, C, H, W).
        teacher: The teacher's.
        taps: Names of the two taps, for the message.
        pixels: Side of the photograph as each of them reads it.

    Raises:
        ValueError: If there is none.
    """
    free = dict(enumerate(teacher))
    pairs = []
    for i, own in enumerate(student):
        # The coarsest levels may all be one cell: each has one partner, in order.
        j = next((j for j, other in free.items() if other.shape[-2:] == own.shape[-2:]), None)
        if j is not None:
            del free[j]
            pairs.append((i, j))
    if not pairs:
        strides = [
            [round(side / feat.shape[-1], 1) for feat in maps]
            for side, maps in zip(pixels, (student, teacher))
        ]
        raise ValueError(
            f'tap {taps[0]!r} of the student has strides {strides[0]} on {pixels[0]} pixels, '
            f'{taps[1]!r} of the teacher {strides[1]} on {pixels[1]} pixels: no level covers the '
            'same part of the photograph; choose other taps or levels'
        )
    return pairs
