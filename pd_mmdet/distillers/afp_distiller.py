from __future__ import annotations

from typing import Any

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..afp import AFPDetector
from ..taps import Tap, find_module
from .dense_head_term import DenseHeadTerm
from .distiller import Distiller


@MODELS.register_module()
class AFPDistiller(Distiller):
    """A detector that learns from a teacher which reads another view.

    It serves stage 1 (teacher → assistant, both on ``hr``), stage 2 (assistant on ``hr`` →
    student on ``lr``) and the one-stage baseline; what differs is configuration. See
    :class:`Distiller` for the arguments. A term whose student tap is a dense head compares the
    heads' outputs, every other one feature maps.

    Raises:
        ValueError: Also if student and teacher have other classes, or an AFP ratio differs from
            the distiller's, or an assistant does not read ``hr``.
    """

    registry = MODELS
    preprocessor = 'PairedDetDataPreprocessor'

    def _check_options(self, terms: dict[str, dict], isrd: dict | None) -> None:
        super()._check_options(terms, isrd)
        for side, model in (('student', self), ('teacher', self.teacher and self.teacher.model)):
            if model is not None and not isinstance(model, SingleStageDetector):
                raise NotImplementedError(
                    f'the {side} is a {type(model).__name__}: only one-stage detectors distil yet'
                )
        self._check_afp(self, 'student', self.view)
        if self.teacher is not None:
            self._check_afp(self.teacher.model, 'teacher', self.teacher.view)
            self._check_classes()

    def _check_afp(self, model: nn.Module, side: str, view: str) -> None:
        if not isinstance(model, AFPDetector):
            return
        if model.neck.afp.ratio != self.ratio:
            raise ValueError(
                f'the {side} is an AFPDetector of ratio={model.neck.afp.ratio}, the distiller has '
                f'ratio={self.ratio}: they must be equal'
            )
        if view != 'hr':
            raise ValueError(f"the {side} is an AFPDetector, which reads 'hr', but view={view!r}")

    def _check_classes(self) -> None:
        own, other = (model.bbox_head.num_classes for model in (self, self.teacher.model))
        if own != other:
            raise ValueError(f'the student has num_classes={own}, the teacher {other}')

    def _build_term(self, **term: Any) -> nn.Module:
        path = Tap.parse(term['student']).path
        if isinstance(find_module(self, path, 'student'), BaseDenseHead):
            return DenseHeadTerm(models=(self, self.teacher.model), **term)
        built = super()._build_term(**term)
        if hasattr(built.loss, 'check_head'):
            raise TypeError(
                f'{type(built.loss).__name__} compares dense heads, '
                f'but tap {term["student"]!r} of the student is none'
            )
        return built

    def _forward_to_outputs(self, model: nn.Module, inputs: Tensor) -> None:
        # The detector's own mode='tensor' calls its head's `forward`, which hooks do not see.
        model.bbox_head(model.extract_feat(inputs))
