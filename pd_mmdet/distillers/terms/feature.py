"""Term that compares feature maps."""

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
    """A term that compares feature maps.

    Levels match if their maps have the same size for one photograph. If the numbers of channels
    differ, a 1×1 convolution is put after the student's map. The attributes of the loss can relax
    both, see :class:`~pd_mmdet.losses.FeatureLoss`. The term is the mean of the loss over the
    matched levels, times the weight.

    Args:
        probe: Outputs of student and teacher at their taps, for a blank image.
        student: Tap of the student, see :meth:`Tap.parse`.
        teacher: Tap of the teacher.
        loss: Config of a loss of two maps (N, C, H, W).
        weight: Factor of the term in the total loss.
        pooled: True: if each tap selects one level, compare them even if their sizes differ; the
            larger map is averaged down. For networks without a feature pyramid.

    Raises:
        TypeError: The loss does not compare feature maps.
        ValueError: The output at a tap is no feature map, or no levels match.
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
            nn.Conv2d(n_student, n_teacher, 1)
            if traits.same_channels and n_student != n_teacher
            else nn.Identity()
            for n_student, n_teacher in channels
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
    """Return the maps (N, C, H, W) that a tap selects from an output, one for each level.

    Tokens (N, T, C) are arranged as a map. Its size is the grid that comes with the tokens (as from
    a patch embedding), or else a square; up to two extra tokens at the front (class token,
    distillation token) are dropped. A vector (N, C) is a map of one cell.

    Raises:
        ValueError: The selected output is neither a map, nor tokens, nor a vector.
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
    """Match levels of student and teacher whose maps have the same size for one photograph.

    Args:
        student: The student's maps (N, C, H, W), one for each level.
        teacher: The teacher's maps, likewise.
        taps: Names of the student's and the teacher's tap, for the message.
        pixels: Side of the image that the student reads, and that the teacher reads.

    Returns:
        Pairs (index of the student's level, index of the teacher's level).

    Raises:
        ValueError: No levels match.
    """
    free = dict(enumerate(teacher))
    pairs = []
    for i, wanted in enumerate(student):
        # Several coarse levels may have one cell only: they are matched in order.
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
