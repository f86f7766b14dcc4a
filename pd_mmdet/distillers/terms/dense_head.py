from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from ...losses.decode import Predicted, prior_generator
from ...taps import Tap, find_module
from .feature import match_levels


class DenseHeadTerm(nn.Module):
    """A distillation term on the outputs of dense heads: student tap, teacher tap, loss, weight.

    Levels are matched like feature maps: an assistant's, all of them; a teacher's own head, which
    reads an image k times as large, by level shift (its stride k·s meets the student's s). Priors
    must match one to one; what a level is trained for (regress ranges) need not.

    Args:
        models: Student and teacher.
        student: Tap of the student's head, see :meth:`Tap.parse`.
        teacher: Tap of the teacher's head.
        loss: Config of a dense head's loss, see :mod:`pd_mmdet.losses.dense_head`.
        weight: Factor of the term in the total loss.
        outputs: What student and teacher put out at their taps for one photograph.
        pixels: Side of that photograph as each of them reads it.
        scale: Pixels in which the teacher's head measures, for one of the student's.

    Raises:
        ValueError: If no level is shared, or the priors of a shared level differ.
        TypeError: If the loss does not suit the head.
    """

    def __init__(
        self,
        models: tuple[nn.Module, nn.Module],
        student: str,
        teacher: str,
        loss: dict,
        weight: float,
        outputs: tuple[Any, Any],
        pixels: tuple[int, int],
        scale: Fraction,
    ) -> None:
        super().__init__()
        self.student, self.teacher = Tap.parse(student), Tap.parse(teacher)
        self.weight = weight
        self.loss = MODELS.build(loss)
        heads = [
            find_module(model, tap.path, side)
            for model, tap, side in zip(
                models, (self.student, self.teacher), ('student', 'teacher')
            )
        ]
        if not hasattr(self.loss, 'check_head'):
            raise TypeError(
                f'{type(self.loss).__name__} does not compare dense heads, '
                f'but tap {student!r} is one'
            )
        for head in heads:
            self.loss.check_head(head)
        if hasattr(self.loss, 'check_pair'):
            self.loss.check_pair(*heads)
        self.pairs = self._match(outputs[0][0], outputs[1][0], (student, teacher), pixels)
        check_same_priors(*heads, self.pairs, scale)
        self.scale = float(scale)

    def _match(
        self,
        student: list[Tensor],
        teacher: list[Tensor],
        taps: tuple[str, str],
        pixels: tuple[int, int],
    ) -> list[tuple[int, int]]:
        """Pairs among the levels that the taps select, as indices into all levels."""
        own = range(len(student))[self.student.levels]
        other = range(len(teacher))[self.teacher.levels]
        maps = self.student.select(student), self.teacher.select(teacher)
        return [(own[i], other[j]) for i, j in match_levels(*maps, taps, pixels)]

    def forward(
        self, model: nn.Module, student_output: Any, teacher_output: Any, data_samples: list
    ) -> Tensor:
        """The weighted term, a scalar; ``model`` is the distiller."""
        own, other = zip(*self.pairs)
        student = Predicted(model.get_submodule(self.student.path), student_output, own)
        head = model.teacher.model.get_submodule(self.teacher.path)
        return self.weight * self.loss(student, Predicted(head, teacher_output, other, self.scale))


def check_same_priors(
    student: nn.Module, teacher: nn.Module, pairs: list[tuple[int, int]], scale: Fraction
) -> None:
    """Refuse heads whose priors do not cover the same part of the photograph, one to one.

    Args:
        student: The student's head.
        teacher: The teacher's.
        pairs: Levels (student's, teacher's) that are compared.
        scale: Pixels in which the teacher's head measures, for one of the student's.

    Raises:
        ValueError: Names the first level that differs, with both sides' priors.
    """
    for i, j in pairs:
        own, other = _priors(student, i), _priors(teacher, j)
        if own.shape != other.shape or not torch.allclose(own * float(scale), other, rtol=1e-3):
            raise ValueError(
                f'the priors of level {i} of the student, {_say_priors(student, i)}, times {scale} '
                f'are not those of level {j} of the teacher, {_say_priors(teacher, j)}: their '
                'heads cannot be compared; give both the same anchor_generator (or strides)'
            )


def _priors(head: nn.Module, level: int, cells: int = 2) -> Tensor:
    """Anchors (P, 4) or points (P, 2) of ``cells`` × ``cells`` cells, in the head's pixels."""
    generator = prior_generator(head)
    return get_box_tensor(generator.single_level_grid_priors((cells, cells), level, device='cpu'))


def _say_priors(head: nn.Module, level: int) -> str:
    stride = prior_generator(head).strides[level][0]
    return f'{_priors(head, level, cells=1).tolist()} every {stride} pixels'
