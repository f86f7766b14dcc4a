"""Base class of the distillers of detectors and classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from numbers import Real
from operator import mul
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import Registry
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

from ..channels import image_channels
from ..mixin import Mixin, put_in_front, with_preprocessor
from ..ratio import parse_ratio
from ..taps import Tap, Taps
from ..transforms import LowResolution
from .detector_trial import TeacherScore
from .gradients import check_gradients
from .probe import Probe, probe
from .teacher import Teacher
from .terms.base import StepOutputs, TeacherTerm, Term, TermProbe
from .terms.feature import FeatureTerm, feature_maps
from .terms.isrd import ISRD, find_stem

VIEWS = ('hr', 'lr')


class Distiller(Mixin):
    """A student that learns from a teacher. The base class of the distillers of both tasks.

    A distiller is a mixin in front of the student's class: the model *is* the student, and its loss
    has additional terms. Modules that only training needs are under ``distill.`` in the state dict.
    The teacher is not part of the model.

    Args:
        student: Config of the student, an ordinary model.
        ratio: Side length of ``hr`` over that of ``lr``, see :func:`parse_ratio`; 1 if they have
            equal sizes. It is ratio / enlarge of :class:`LowResolution`.
        teacher: ``dict(cfg=…, checkpoint=…, view=…, dtype=…)``, see :class:`Teacher`.
        view: View that the student reads, ``'lr'`` or ``'hr'``.
        terms: Name → ``dict(student=tap, teacher=tap, loss=dict(type=…), weight=…)``. None as the
            value removes a term of a base config.
        isrd: ``dict(weight=…)`` or ``dict(weight=…, tap=…)``: add the term ``isrd``, which compares
            with the large image, see :class:`ISRD`. The default tap is the stem of the backbone.
        student_weight: Factor of the student's task losses (the losses without distillation); for
            KD it is 1 - alpha.
        data_preprocessor: Used for the student, and for a teacher whose config is a dict, if they
            have none. The runner passes the top-level ``data_preprocessor`` of a config file.

    Raises:
        ValueError: An option is out of its range, or a term cannot be computed or has nothing to
            train.
    """

    registry: Registry
    preprocessor: str
    teacher: Any  # a Teacher, or None
    data_preprocessor: nn.Module
    taps = Taps
    trial: Callable[[nn.Module, DataLoader], TeacherScore | None]
    """Score a teacher on a few images."""

    def __new__(
        cls, student: dict, *_: Any, data_preprocessor: dict | None = None, **__: Any
    ) -> Distiller:
        return put_in_front(cls, cls.registry.build(with_preprocessor(student, data_preprocessor)))

    def __init__(
        self,
        student: dict,
        ratio: float | str | Fraction,
        teacher: dict | None = None,
        view: str = 'lr',
        terms: dict[str, dict] | None = None,
        isrd: dict | None = None,
        student_weight: float = 1.0,
        *,
        data_preprocessor: dict | None = None,
    ) -> None:
        self.ratio = parse_ratio(ratio, allow_one=True)
        self.view = view
        self.student_weight = student_weight
        terms = {name: dict(term) for name, term in (terms or {}).items() if term is not None}
        # Building the teacher and the terms must not change the random state of the training.
        with torch.random.fork_rng(devices=[]):
            self.teacher, self.teacher_missing = self._find_teacher(teacher, data_preprocessor)
            if self.teacher_missing:
                terms = {}
            self._check_options(terms, isrd)
            if isrd:
                tap = isrd.get('tap') or find_stem(self)
                terms['isrd'] = dict(student=tap, weight=isrd['weight'])
            self.distill = self._build_terms(terms)
        self.data_preprocessor = self.registry.build(
            dict(
                type=self.preprocessor,
                student=self.data_preprocessor,
                teacher=self.teacher and self.teacher.model.data_preprocessor,
                ratio=self.ratio,
                student_view=view,
                teacher_view=self.teacher.view if self.teacher else 'hr',
                target=any(not isinstance(term, TeacherTerm) for term in self.distill.values()),
            )
        )

    def _find_teacher(
        self, teacher: dict | None, data_preprocessor: dict | None
    ) -> tuple[Teacher | None, FileNotFoundError | None]:
        """Build the teacher, if there is one.

        Returns:
            The teacher, and the error if its config file is missing: only training raises it.
        """
        known = {'cfg', 'checkpoint', 'view', 'dtype'}
        if teacher and ('cfg' not in teacher or {*teacher} - known):
            raise ValueError(
                f'teacher={teacher}: write teacher=dict(cfg=model or file, checkpoint=file'
                "[, view='hr'][, dtype='bfloat16'])"
            )
        if teacher and isinstance(teacher['cfg'], dict):
            teacher = {**teacher, 'cfg': with_preprocessor(teacher['cfg'], data_preprocessor)}
        if not teacher:
            return None, None
        try:
            return Teacher(self.registry, **teacher), None
        except FileNotFoundError as error:
            return None, FileNotFoundError(f'teacher.cfg={teacher["cfg"]!r}: {error}')

    def _check_options(self, terms: dict[str, dict], isrd: dict | None) -> None:
        sides = {'view': self.view, 'teacher.view': self.teacher.view if self.teacher else 'hr'}
        for option, view in sides.items():
            if view not in VIEWS:
                raise ValueError(f"{option}={view!r}: must be 'hr' or 'lr'")
        if self.teacher and (self.view, self.teacher.view) == ('hr', 'lr'):
            raise ValueError(
                "view='hr' with teacher.view='lr': a student that reads the large image must learn "
                "from a teacher that reads it, too: set teacher.view='hr'"
            )
        if not isinstance(self.student_weight, Real) or self.student_weight < 0:
            raise ValueError(f'student_weight={self.student_weight!r}: must be 0 or more')
        if terms and self.teacher is None:
            raise ValueError(f'terms={list(terms)} need a teacher: set teacher=dict(cfg=…)')
        for name, term in terms.items():
            if (
                {*term} != {'student', 'teacher', 'loss', 'weight'}
                or not isinstance(term['weight'], Real)
                or not name.isidentifier()
                or name == 'isrd'
            ):
                raise ValueError(
                    f'terms.{name}={term}: write name=dict(student=tap, teacher=tap, '
                    'loss=dict(type=…), weight=number), and isrd=… outside of the terms'
                )
        if isrd is not None and (
            self.view != 'lr'
            or {*isrd} - {'tap'} != {'weight'}
            or not isinstance(isrd['weight'], Real)
        ):
            raise ValueError(
                f'isrd={isrd}: write isrd=dict(weight=number[, tap=place]), for a student with '
                f"view='lr' (here {self.view!r})"
            )

    def _build_terms(self, terms: dict[str, dict]) -> nn.ModuleDict:
        modules = nn.ModuleDict()
        if not terms:
            return modules
        teacher_taps = [term['teacher'] for term in terms.values() if 'teacher' in term]
        found = probe(self, [term['student'] for term in terms.values()], teacher_taps)
        if teacher_taps:
            self._check_channels(found.sides)
        for name, term in terms.items():
            modules[name] = (
                self._build_teacher_term(self._probe_of(term, found), **term)
                if 'teacher' in term
                else self._build_isrd(found, **term)
            )
        return modules

    def _probe_of(self, term: dict, found: Probe) -> TermProbe:
        return TermProbe(
            registry=self.registry,
            models=(self, self.teacher.model),
            outputs=(found.student[term['student']], found.teacher[term['teacher']]),
            pixels=(found.sides[self.view], found.sides[self.teacher.view]),
        )

    def _build_teacher_term(self, probe: TermProbe, **term: Any) -> Term:
        """Build the term for its taps. Here it compares feature maps; subclasses know more kinds.

        Args:
            probe: Outputs of both networks at the taps.
            term: ``student``, ``teacher``, ``loss`` and ``weight``, as in the config.
        """
        return FeatureTerm(probe, **term)

    def _build_isrd(self, found: Probe, student: str, weight: float) -> Term:
        side = found.sides['lr']
        feature = feature_maps(Tap.parse(student), found.student[student])[0]
        stride = round(side / feature.shape[-1])
        channels = image_channels(self, side)
        return ISRD(student, weight, feature.shape[1], stride, self.ratio, channels)

    def _check_channels(self, sides: dict[str, int]) -> None:
        """Refuse networks that read images with different numbers of channels.

        Args:
            sides: Height and width, for each view, of an image that both networks can read.

        Raises:
            ValueError: The numbers of channels differ.
        """
        student = image_channels(self, sides[self.view])
        teacher = image_channels(self.teacher.model, sides[self.teacher.view])
        if student != teacher:
            raise ValueError(
                f'the student reads images of {student} channels, the teacher of {teacher}: they '
                'read two views of one photograph, so both need the same backbone.in_channels'
            )

    def forward_to_outputs(self, model: nn.Module, inputs: Tensor, paths: set[str]) -> None:
        """Run a network until the modules at ``paths`` have run.

        Args:
            model: The student or the teacher.
            inputs: Its images (N, C, H, W).
            paths: Paths of tapped modules.
        """
        model(inputs, mode='tensor')

    @torch.no_grad()
    def _run_teacher(
        self, inputs: Tensor, paths: set[str], student: dict[str, Any]
    ) -> dict[str, Any]:
        """Run the teacher until all modules at ``paths`` have run, and return their outputs.

        Args:
            inputs: Its images (N, C, H, W).
            paths: Paths of tapped modules of the teacher.
            student: Path of a tapped module -> its output in the student.
        """
        tapping = self.taps(self.teacher.model, paths, 'teacher', stop=True)
        with self.teacher.autocast(inputs.device.type), tapping as tapped:
            self.forward_to_outputs(self.teacher.model, inputs, paths)
        return tapped.outputs

    def init_weights(self) -> None:
        """Initialise the student and load the teacher's checkpoint, before training starts.

        Raises:
            FileNotFoundError: The teacher's config or checkpoint does not exist.
            ValueError: The checkpoint does not fit, see :meth:`Teacher.load`.
        """
        if self.teacher_missing:
            raise self.teacher_missing
        super().init_weights()
        if self.teacher is not None:
            self.teacher.load()

    def check_pipeline(self, transforms: Sequence[BaseTransform]) -> None:
        """Refuse a pipeline that does not suit the distiller.

        Raises:
            ValueError: It makes views of another ratio, or both views for a student that reads the
                large one (the annotations would be those of the small one).
        """
        for transform in transforms:
            if not isinstance(transform, LowResolution):
                continue
            if transform.view_ratio != self.ratio:
                raise ValueError(
                    f'the distiller has ratio={self.ratio}, but a pipeline has '
                    f'LowResolution(ratio={transform.ratio}, enlarge={transform.enlarge}): set its '
                    f'ratio and enlarge so that ratio / enlarge is {self.ratio}, or set '
                    f'ratio={transform.view_ratio} of the distiller'
                )
            if self.view == 'hr' and 'lr' in transform.views:
                raise ValueError(
                    "the student has view='hr', but a pipeline has "
                    f"LowResolution(views={transform.views}): set views=['hr']"
                )

    def loss(self, batch_inputs: dict[str, Tensor] | Tensor, batch_data_samples: list) -> dict:
        """Compute the student's task losses, and ``distill_<name>_loss`` for each term.

        Args:
            batch_inputs: Images (N, C, H, W) for ``student``, ``teacher`` and ``target``, each in
                its view and normalisation; or only the student's images if there are no terms.
            batch_data_samples: The samples of the student's view.

        Returns:
            The losses by name, each a scalar or a list of scalars.

        Raises:
            ValueError: There are terms, but the batch has one view only.
            RuntimeError: A tapped output has no gradient, see :func:`check_gradients`.
        """
        if not isinstance(batch_inputs, dict):
            if len(self.distill):
                raise ValueError(
                    f'terms {list(self.distill)} need both views, but the batch has one: set '
                    "LowResolution(views=('hr', 'lr')) in the pipeline, and "
                    f'{self.data_preprocessor.packing}'
                )
            return self._weighted(super().loss(batch_inputs, batch_data_samples))
        paths = [term.student.path for term in self.distill.values()]
        with self.taps(self, paths, 'student') as tapped:
            losses = super().loss(batch_inputs['student'], batch_data_samples)
        check_gradients(self, tapped.outputs)
        return self._weighted(losses) | self._distill_losses(
            tapped.outputs, batch_inputs, batch_data_samples
        )

    def _weighted(self, losses: dict) -> dict:
        """Multiply the task losses by ``student_weight``; values that are only logged stay."""
        if self.student_weight == 1:
            return losses
        return {
            name: tree_map(partial(mul, self.student_weight), value) if 'loss' in name else value
            for name, value in losses.items()
        }

    def _distill_losses(
        self, student: dict[str, Any], inputs: dict[str, Tensor], data_samples: list
    ) -> dict[str, Tensor]:
        terms = self.distill.values()
        paths = {term.teacher.path for term in terms if isinstance(term, TeacherTerm)}
        teacher = self._run_teacher(inputs['teacher'], paths, student) if paths else {}
        step = StepOutputs(student, teacher, inputs.get('target'), data_samples)
        return {f'distill_{name}_loss': term(self, step) for name, term in self.distill.items()}

    def parse_losses(self, losses: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses, and log ``distill_<name>_share``: the share of each term in the total."""
        total, log_vars = super().parse_losses(losses)
        for name in self.distill:
            share = log_vars[f'distill_{name}_loss'].detach() / total.detach()
            log_vars[f'distill_{name}_share'] = share
        return total, log_vars

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> nn.Module:
        """Move or cast the teacher with the student."""
        if self.teacher is not None:
            self.teacher.model._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)
