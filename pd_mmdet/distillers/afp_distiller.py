from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from mmdet.models.dense_heads import CascadeRPNHead, GuidedAnchorHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.dense_heads.base_mask_head import BaseMaskHead
from mmdet.models.detectors import GLIP, TridentFasterRCNN
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..afp import AFPDetector
from ..losses.roi_head import RoIHeadOutput
from ..sub_cells import check_cells
from ..taps import Tap, as_levels, find_module, run_as_in_training
from .detector_trial import try_detector
from .distiller import Distiller
from .roi_head_taps import ROI_TAP, DetTaps, bbox_heads, run_roi_head
from .terms.base import Term, TermProbe
from .terms.cross_head import CrossHeadTerm
from .terms.dense_head import DenseHeadTerm
from .terms.roi_head import RoIHeadTerm

HEADS = ('bbox_head', 'rpn_head', 'mask_head')


@MODELS.register_module()
class AFPDistiller(Distiller):
    """A detector that learns from a teacher. The two may read different views.

    The config decides which stage it trains: stage 1 (teacher → assistant, both read ``hr``),
    stage 2 (the assistant reads ``hr`` → the student reads ``lr``), or the one-stage baseline. See
    :class:`Distiller` for the arguments. The student's tap decides what a term compares: the
    outputs of dense heads (``bbox_head``, ``rpn_head``), the predictions of RoI heads for the
    student's RoIs (``roi_head.bbox_head``), or else feature maps; these directly, or by what a
    dense head of the teacher says of them, if that is the teacher's tap.

    Raises:
        NotImplementedError: The student or the teacher is not a one-stage or two-stage detector
            with dense heads.
        ValueError: Student and teacher have different numbers of classes; or an AFP detector has
            another ratio than the distiller, or does not read ``hr``; or the student has more
            sub-cells than the ratio allows, see :func:`check_cells`; or as for
            :class:`Distiller`.
    """

    registry = MODELS
    preprocessor = 'PairedDetDataPreprocessor'
    taps = DetTaps
    trial = staticmethod(try_detector)

    def _check_options(self, terms: dict[str, dict], isrd: dict | None) -> None:
        super()._check_options(terms, isrd)
        for side, model in (('student', self), ('teacher', self.teacher and self.teacher.model)):
            if model is not None:
                _check_detector(model, side)
        self._check_afp(self, 'student', self.view)
        if self.view == 'lr':
            check_cells(self, self.ratio)
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
        student, teacher = _num_classes(self), _num_classes(self.teacher.model)
        if student != teacher:
            raise ValueError(
                f'the student has num_classes={student}, the teacher {teacher}: they must be equal'
            )

    def _build_teacher_term(self, probe: TermProbe, **term: Any) -> Term:
        path = Tap.parse(term['student']).path
        if isinstance(find_module(self, path, 'student'), BaseDenseHead):
            return DenseHeadTerm(probe, scale=self._teacher_scale(), **term)
        if path.startswith('roi_head'):
            return RoIHeadTerm(probe, **term)
        path = Tap.parse(term['teacher']).path
        if isinstance(find_module(self.teacher.model, path, 'teacher'), BaseDenseHead):
            return CrossHeadTerm(probe, **term)
        return super()._build_teacher_term(probe, **term)

    def _teacher_scale(self) -> Fraction:
        """Return the ratio of a length in pixels of the teacher's heads to that of the student's.

        The heads of an assistant measure in pixels of the small image.
        """
        student, teacher = (
            self.ratio if view == 'hr' and not isinstance(model, AFPDetector) else Fraction(1)
            for model, view in ((self, self.view), (self.teacher.model, self.teacher.view))
        )
        return teacher / student

    def _distill_losses(
        self, student: dict[str, Any], inputs: dict[str, Tensor], data_samples: list
    ) -> dict[str, Tensor]:
        terms = (term for term in self.distill.values() if isinstance(term, CrossHeadTerm))
        crossings = {term.crossing: term for term in terms}  # several losses share one
        crossed = {name: term.cross(self, student) for name, term in crossings.items()}
        return super()._distill_losses(student | crossed, inputs, data_samples)

    def _run_teacher(
        self, inputs: Tensor, paths: set[str], student: dict[str, Any]
    ) -> dict[str, Any]:
        if ROI_TAP not in paths:
            return super()._run_teacher(inputs, paths, student)
        pyramid = self._teacher_pyramid()
        outputs = super()._run_teacher(inputs, paths - {ROI_TAP} | {pyramid}, student)
        feats = as_levels(outputs[pyramid])
        return outputs | {ROI_TAP: self._run_teacher_roi_head(feats, student[ROI_TAP])}

    def _teacher_pyramid(self) -> str:
        """Return the path of the module whose output the teacher's heads read."""
        if isinstance(self.teacher.model, AFPDetector):
            return 'neck.afp'
        return 'neck' if self.teacher.model.with_neck else 'backbone'

    @torch.no_grad()
    def _run_teacher_roi_head(
        self, feats: list[Tensor], student: list[RoIHeadOutput]
    ) -> list[RoIHeadOutput]:
        """Let the teacher's RoI head predict for the student's RoIs.

        Args:
            feats: The teacher's feature maps (N, C, H, W), one for each level.
            student: The output of the student's RoI head, for each stage of a cascade.
        """
        scale = float(self._teacher_scale())
        rois = [
            (output.stage, torch.cat([output.rois[:, :1], output.rois[:, 1:] * scale], 1))
            for output in student
        ]
        if self.teacher.dtype:  # RoIAlign has no bfloat16 on a CPU
            feats = [feat.float() for feat in feats]
        return run_roi_head(self.teacher.model.roi_head, feats, rois)

    def forward_to_outputs(self, model: nn.Module, inputs: Tensor, paths: set[str]) -> None:
        # The detector's mode='tensor' calls the `forward` of its heads directly: hooks do not run.
        feats = model.extract_feat(inputs)
        names = {path.split('.')[0] for path in paths}
        for name in ('bbox_head', 'rpn_head'):
            if name in names:
                _check_dense_head(name, getattr(model, name))
                run_as_in_training(getattr(model, name), feats)
        if 'roi_head' in names:
            whole = inputs.new_tensor([[0, 0, 0, inputs.shape[-1], inputs.shape[-2]]])
            stages = range(len(bbox_heads(model.roi_head)))
            run_roi_head(model.roi_head, feats, [(stage, whole) for stage in stages])


def _check_dense_head(name: str, head: nn.Module) -> None:
    if isinstance(head, (GuidedAnchorHead, CascadeRPNHead)):
        raise TypeError(
            f'tap {name!r}: a {type(head).__name__} predicts its anchors, so its outputs cannot be '
            'compared prior by prior: compare features instead'
        )


def _check_detector(model: nn.Module, side: str) -> None:
    heads = (getattr(model, name, None) for name in HEADS)
    reason = None
    if not any(isinstance(head, (BaseDenseHead, BaseMaskHead)) for head in heads):
        reason = 'it must be a one-stage or two-stage detector with a dense head'
    elif isinstance(model, GLIP):
        reason = 'it reads a text in addition to the image'
    elif isinstance(model, TridentFasterRCNN):
        reason = 'in training it makes three images of each image'
    if reason:
        raise NotImplementedError(f'the {side} is a {type(model).__name__}: {reason}')


def _num_classes(model: nn.Module) -> int:
    if getattr(model, 'roi_head', None) is not None:
        return bbox_heads(model.roi_head)[-1].num_classes
    head = getattr(model, 'bbox_head', None) or model.mask_head
    return head.num_classes
