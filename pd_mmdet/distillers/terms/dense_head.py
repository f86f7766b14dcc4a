"""Term that compares the outputs of dense heads."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.registry import Registry
from torch import Tensor, nn

from ...losses import DenseHeadLoss
from ...losses.prior_grid import prior_generator
from ...losses.readers import DenseHeadOutput
from ...sub_cells import SubCellDetector
from ...taps import find_module
from .base import StepOutputs, TeacherTerm, TermProbe, build_loss
from .feature import match_levels


class DenseHeadTerm(TeacherTerm):
    """A term that compares the outputs of dense heads.

    Levels are matched by the sizes of their maps, as in :class:`FeatureTerm`. All levels of an
    assistant match those of its student. If the teacher is no assistant and reads an image k times
    as large, its level of stride k·s matches the student's level of stride s. Matched levels must
    have the same priors; their regress ranges may differ. Where a student with c×c sub-cells has up
    to c - 1 rows or columns more than its teacher, at the edge, these are not compared.

    Args:
        probe: Outputs of the heads for a blank image.
        student: Tap of the student's head, see :meth:`Tap.parse`.
        teacher: Tap of the teacher's head.
        loss: Config of a dense head's loss, see :class:`~pd_mmdet.losses.DenseHeadLoss`.
        weight: Factor of the term in the total loss.
        scale: Ratio of a length in pixels of the teacher's head to that in the student's pixels.

    Raises:
        ValueError: No levels match, or the priors of matched levels differ.
        TypeError: The loss cannot read a head, or cannot compare the two heads.
    """

    def __init__(
        self,
        probe: TermProbe,
        student: str,
        teacher: str,
        loss: dict,
        weight: float,
        scale: Fraction,
    ) -> None:
        super().__init__(student, teacher, weight)
        student_head, teacher_head = (
            find_module(model, tap.path, side)
            for model, tap, side in zip(
                probe.models, (self.student, self.teacher), ('student', 'teacher')
            )
        )
        self.loss = build_dense_head_loss(probe.registry, loss, student, 'student')
        self.loss.check_head(student_head)
        self.loss.check_head(teacher_head)
        self.loss.check_pair(student_head, teacher_head)
        self.pairs = self._match(probe)
        check_same_priors(student_head, teacher_head, self.pairs, scale)
        self.scale = float(scale)

    def _match(self, probe: TermProbe) -> list[tuple[int, int]]:
        """Match the levels that the taps select; return pairs of indices into all levels."""
        # The first output of a head has one map for each level.
        student, teacher = (output[0] for output in probe.outputs)
        pairs = match_levels(
            self.student.select(student),
            self.teacher.select(teacher),
            (self.student.path, self.teacher.path),
            probe.pixels,
        )
        student_levels = range(len(student))[self.student.levels]
        teacher_levels = range(len(teacher))[self.teacher.levels]
        return [(student_levels[i], teacher_levels[j]) for i, j in pairs]

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        student_levels, teacher_levels = zip(*self.pairs)
        outputs, wanted = step.student[self.student.path], step.teacher[self.teacher.path]
        if isinstance(model, SubCellDetector):
            outputs = without_edge(outputs, wanted, self.pairs, model.cells)
        student = DenseHeadOutput(model.get_submodule(self.student.path), outputs, student_levels)
        teacher = DenseHeadOutput(
            model.teacher.model.get_submodule(self.teacher.path),
            wanted,
            teacher_levels,
            self.scale,
        )
        return self.weight * self.loss(student, teacher)


def build_dense_head_loss(registry: Registry, loss: dict, tap: str, side: str) -> DenseHeadLoss:
    """Build the loss of a term between outputs of dense heads.

    Args:
        registry: Builds the loss.
        loss: Config of the loss.
        tap: Tap of a dense head, for the message.
        side: The network that has this tap, for the message.

    Raises:
        TypeError: The loss compares no outputs of dense heads.
    """
    built = build_loss(registry, loss, DenseHeadLoss, tap, side)
    if not isinstance(built, DenseHeadLoss):
        raise TypeError(
            f'{type(built).__name__} is no DenseHeadLoss, but tap {tap!r} of the {side} is a dense '
            'head'
        )
    return built


def without_edge(
    student: Sequence[Any], teacher: Sequence[Any], pairs: list[tuple[int, int]], cells: int
) -> list[list[Tensor]]:
    """Cut the sub-cells that a student has beyond those of its teacher from the end of its maps.

    A map with s pixels a cell has ⌈side / s⌉ cells. A student on the small image has c times as
    many sub-cells, which are up to c - 1 more than the ⌈c · side / s⌉ cells of the large image.

    Args:
        student: Outputs of the student's head: lists with a map (N, C, H, W) for each level.
        teacher: Those of the teacher's head.
        pairs: Matched levels, as indices (student's level, teacher's level).
        cells: c.

    Returns:
        The student's outputs. Maps of equal size stay, and those that differ by another number.
    """
    sizes = {}
    for i, j in pairs:
        more = [a - b for a, b in zip(student[0][i].shape[-2:], teacher[0][j].shape[-2:])]
        if any(more) and all(0 <= number < cells for number in more):
            sizes[i] = teacher[0][j].shape[-2:]
    return [
        [
            maps[..., : sizes[level][0], : sizes[level][1]] if level in sizes else maps
            for level, maps in enumerate(entry)
        ]
        for entry in student
    ]


def check_same_priors(
    student: nn.Module, teacher: nn.Module, pairs: list[tuple[int, int]], scale: Fraction
) -> None:
    """Refuse heads whose priors do not cover the same parts of the photograph, one to one.

    Args:
        student: The student's head.
        teacher: The teacher's head.
        pairs: Matched levels, as indices (student's level, teacher's level).
        scale: Ratio of a length in pixels of the teacher's head to that in the student's pixels.

    Raises:
        ValueError: The priors of a level differ. The message shows them.
    """
    for i, j in pairs:
        priors, wanted = _priors(student, i) * float(scale), _priors(teacher, j)
        if priors.shape != wanted.shape or not torch.allclose(priors, wanted, rtol=1e-3):
            raise ValueError(
                f'the priors of level {i} of the student, {_describe_priors(student, i)}, times '
                f'{scale} are not those of level {j} of the teacher, '
                f'{_describe_priors(teacher, j)}: their heads cannot be compared; give both the '
                'same anchor_generator (or strides)'
            )


def _priors(head: nn.Module, level: int, cells: int = 2) -> Tensor:
    """Compute anchors (P, 4) or points (P, 2) of ``cells`` × ``cells`` cells, in head pixels."""
    generator = prior_generator(head)
    return get_box_tensor(generator.single_level_grid_priors((cells, cells), level, device='cpu'))


def _describe_priors(head: nn.Module, level: int) -> str:
    stride, priors = prior_generator(head).strides[level][0], _priors(head, level, cells=1)
    if priors.shape[1] == 2:
        return f'points from {priors[0].tolist()} every {stride} pixels'
    sides = (priors[:, 2:] - priors[:, :2]).prod(1).sqrt()
    sizes = ', '.join(f'{side:g}' for side in sides.unique().tolist())
    return f'{len(priors)} anchors of {sizes} pixels a side every {stride} pixels'
