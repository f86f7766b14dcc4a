from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmpretrain.models import ArcFaceClsHead, ImageClassifier, MultiLabelClsHead
from mmpretrain.registry import MODELS
from torch import nn

from ..distillers.distiller import Distiller
from ..distillers.terms.base import Term, TermProbe
from ..distillers.terms.feature import FeatureTerm
from ..distillers.terms.logits import LogitTerm
from ..taps import Tap
from ..transforms import LowResolution, check_fixed_size
from .classifier_trial import try_classifier
from .position import check_positions

HEAD = 'head'


@MODELS.register_module()
class PixelDistillClassifier(Distiller):
    """A classifier that learns from a teacher. The two may read different views.

    The config decides which stage it trains: stage 1 (teacher → assistant, both read ``hr``),
    stage 2 (the assistant reads ``hr`` → the student reads ``lr``), or the one-stage baseline. See
    :class:`Distiller` for the arguments. A term whose tap is ``head`` compares logits; every other
    term compares feature maps. If the maps have different sizes, because the classifiers read
    images of different sizes, the larger map is averaged down.

    Raises:
        NotImplementedError: The student or the teacher is not an ``ImageClassifier``, or its
            images have several labels.
        ValueError: Student and teacher have different numbers of classes; or a loss needs labels
            that the student's batch augmentations mix; or as for :class:`Distiller`.
    """

    registry = MODELS
    preprocessor = 'PairedClsDataPreprocessor'
    trial = staticmethod(try_classifier)

    def _check_options(self, terms: dict[str, dict], isrd: dict | None) -> None:
        super()._check_options(terms, isrd)
        for side, model in (('student', self), ('teacher', self.teacher and self.teacher.model)):
            if model is not None:
                _check_classifier(model, side)
        if self.teacher is not None:
            student, teacher = (
                getattr(model.head, 'num_classes', None) for model in (self, self.teacher.model)
            )
            if student and teacher and student != teacher:
                raise ValueError(
                    f'the student has num_classes={student}, the teacher {teacher}: they must be '
                    'equal'
                )
            check_positions(self, self.teacher.model)

    def check_pipeline(self, transforms: Sequence[BaseTransform]) -> None:
        super().check_pipeline(transforms)
        for transform in transforms:
            if isinstance(transform, LowResolution):
                check_fixed_size(transforms, transform.ratio, transform.enlarge)

    def _build_teacher_term(self, probe: TermProbe, **term: Any) -> Term:
        paths = {Tap.parse(term[side]).path for side in ('student', 'teacher')}
        if HEAD not in paths:
            return FeatureTerm(probe, pooled=True, **term)
        if paths != {HEAD}:
            raise ValueError(
                f'taps {term["student"]!r} of the student and {term["teacher"]!r} of the teacher: '
                f'logits are compared at {HEAD!r} of both'
            )
        for side, model in (('student', self), ('teacher', self.teacher.model)):
            if isinstance(model.head, ArcFaceClsHead):
                raise TypeError(
                    f'the head of the {side} is an ArcFaceClsHead, whose logits have a margin in '
                    'training only: compare features instead, with taps such as neck or backbone'
                )
        built = LogitTerm(probe, **term)
        if self.data_preprocessor.batch_augments is not None:
            built.check_batch_augments()
        return built


def _check_classifier(model: nn.Module, side: str) -> None:
    reason = None
    if not isinstance(model, ImageClassifier) or not model.with_head:
        reason = 'it must be an ImageClassifier with a head'
    elif isinstance(model.head, MultiLabelClsHead):
        reason = 'its images have several labels; it must have one label per image'
    if reason:
        kinds = [type(part).__name__ for part in (model, getattr(model, 'head', None)) if part]
        raise NotImplementedError(f'the {side} is a {" with ".join(kinds)}: {reason}')
