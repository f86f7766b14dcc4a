"""Terms on feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...losses import FeatureLoss
from ...taps import Tap
from .base import StepOutputs, TeacherTerm, TermProbe, build_loss, compare

MAX_EXTRA_TOKENS = 2


class FeatureTerm(TeacherTerm):
    """A term on feature maps.

    Levels are matched by stride, that is by the cells they have for one photograph; where channel
    counts differ a 1×1 convolution brings the student's to the teacher's. The term is the mean of
    the loss over the matched levels, times the weight. What the loss can compare as it is, its
    attributes say (:class:`~pd_mmdet.losses.FeatureLoss`).

    Args:
        probe: What student and teacher put out at their taps.
        student: Tap of the student, see :meth:`Tap.parse`.
        teacher: Tap of the teacher.
        loss: Config of a loss of two maps (N, C, H, W).
        weight: Factor of the term in the total loss.
        pooled: Compare two single levels whatever their strides, by every loss: the side with
            more cells is averaged down. For networks that have no pyramid.

    Raises:
        TypeError: The loss compares something else than feature maps.
        ValueError: A tap puts out something else, or no level of the student has the stride of
            one of the teacher.
    """

    def __init__(
        self,
        probe: TermProbe,
        student: str,
        teacher: str,
        loss: dict,
        weight: float,
        pooled: bool = False,
    ) -> None:
        super().__init__(student, teacher, weight)
        self.loss = build_loss(probe.registry, loss, FeatureLoss, student)
        traits = self.loss if isinstance(self.loss, FeatureLoss) else FeatureLoss
        self.same_cells = traits.same_cells
        student_maps = feature_maps(self.student, probe.outputs[0])
        teacher_maps = feature_maps(self.teacher, probe.outputs[1])
        if (pooled or not self.same_cells) and len(student_maps) == len(teacher_maps) == 1:
            self.pairs = [(0, 0)]
        else:
            taps = student, teacher
            self.pairs = match_levels(student_maps, teacher_maps, taps, probe.pixels)
        channels = [(student_maps[i].shape[1], teacher_maps[j].shape[1]) for i, j in self.pairs]
        self.adapters = nn.ModuleList(
            nn.Conv2d(given, wanted, 1)
            if traits.same_channels and given != wanted
            else nn.Identity()
            for given, wanted in channels
        )

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        student = feature_maps(self.student, step.student[self.student.path])
        teacher = feature_maps(self.teacher, step.teacher[self.teacher.path])
        losses = [
            self._compare(adapter(student[i]), teacher[j])
            for adapter, (i, j) in zip(self.adapters, self.pairs)
        ]
        total: Tensor = sum(losses)  # type: ignore[assignment]  # not empty, so it is no int
        return self.weight * total / len(losses)

    def _compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.same_cells and student.shape[2:] != teacher.shape[2:]:
            height, width = map(min, student.shape[2:], teacher.shape[2:])
            student, teacher = (
                F.adaptive_avg_pool2d(each.float(), (height, width)) for each in (student, teacher)
            )
        return compare(self.loss, student, teacher)


def feature_maps(tap: Tap, output: Any) -> list[Tensor]:
    """Return the maps (N, C, H, W) that a tap selects of an output, one for each level.

    Tokens (N, T, C) are laid out on their grid: the one that comes with them, as from a patch
    embedding, or a square one, up to two tokens in front of which (class, distillation) are left
    out. A vector (N, C) is a map of one cell.

    Raises:
        ValueError: The tap selects something else.
    """
    levels = [output] if _has_grid(output) else tap.select(output)
    return [_as_map(tap, level) for level in levels]


def _has_grid(output: Any) -> bool:
    """Tell whether an output is a pair: tokens, and the (height, width) of their grid."""
    if not isinstance(output, tuple) or len(output) != 2 or not isinstance(output[0], Tensor):
        return False
    grid = output[1]
    return isinstance(grid, (tuple, list, torch.Size)) and all(isinstance(n, int) for n in grid)


def _as_map(tap: Tap, level: Any) -> Tensor:
    if _has_grid(level):
        tokens, grid = level
        return tokens.transpose(1, 2).unflatten(2, tuple(grid))
    if isinstance(level, Tensor) and level.ndim == 4:
        return level
    if isinstance(level, Tensor) and level.ndim == 3:
        for extra in range(MAX_EXTRA_TOKENS + 1):
            side = math.isqrt(max(level.shape[1] - extra, 0))
            if side and side**2 == level.shape[1] - extra:
                return level[:, extra:].transpose(1, 2).unflatten(2, (side, side))
        raise ValueError(
            f'tap {tap.path!r} puts out {level.shape[1]} tokens, which form no square grid'
        )
    if isinstance(level, Tensor) and level.ndim == 2:
        return level[..., None, None]
    raise ValueError(f'tap {tap.path!r} puts out no feature maps of shape (N, C, H, W)')


def match_levels(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    taps: tuple[str, str],
    pixels: tuple[int, int],
) -> list[tuple[int, int]]:
    """Pair levels of student and teacher that have the same cells for one photograph.

    Args:
        student: The student's maps (N, C, H, W).
        teacher: The teacher's.
        taps: Names of the two taps, for the message.
        pixels: Side of the photograph as each of them reads it.

    Returns:
        Pairs (student's level, teacher's level).

    Raises:
        ValueError: No level has a partner.
    """
    free = dict(enumerate(teacher))
    pairs = []
    for i, wanted in enumerate(student):
        # The coarsest levels may all be one cell: each has one partner, in order.
        j = next((j for j, feat in free.items() if feat.shape[-2:] == wanted.shape[-2:]), None)
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
