from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from numbers import Real
from operator import mul
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import Registry
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader

from ..channels import image_channels
from ..cpu_operators import cpu_operators
from ..mixin import put_in_front, with_preprocessor
from ..ratio import parse_ratio
from ..taps import Tap, Taps, evaluating
from ..transforms import LowResolution
from .teacher import Teacher
from .terms.feature import FeatureTerm, feature_maps
from .terms.isrd import ISRD
from .trial import Trial

STEMS = (
    'backbone.stem',
    'backbone.relu',
    'backbone.patch_embed',
    'backbone.conv1',
    'backbone.layer0',
)
"""Where the stem of a backbone ends, ISRD's default tap: the first of these that exists."""

COARSEST_STRIDE = 128
LARGER_SIDE = 4 * COARSEST_STRIDE
USUAL_SIDE = 224
VIEWS = ('hr', 'lr')


class Distiller:
    """What detectors and classifiers share when they learn from a teacher.

    A mixin in front of the student's own class: the model *is* the student, its loss has more
    terms. Training-only modules live under ``distill.``; the teacher is no part of it.

    Args:
        student: Config of the student, a plain model.
        ratio: Side length of the large image over the small one, see :func:`parse_ratio`.
        teacher: ``cfg``, ``checkpoint`` and ``view`` of :class:`Teacher`.
        view: Which view the student reads.
        terms: Name → ``dict(student=tap, teacher=tap, loss=dict(type=…), weight=…)``; None instead
            leaves one out that a base config has.
        isrd: ``dict(weight=…)``, and ``tap`` for another place than the stem: adds
            :class:`ISRD` as the term ``isrd``.
        student_weight: Factor of the student's own losses; KD's (1 - alpha), for one.
        data_preprocessor: The student's, and that of a teacher whose config is a dict, where
            these have none: the runner puts in the one that a config has beside its model.

    Raises:
        ValueError: If an option is none, or a term compares what cannot be compared or taught.
    """

    registry: Registry
    preprocessor: str
    taps = Taps
    trial: Callable[[nn.Module, DataLoader], Trial | None]
    """How a teacher does on a few images."""

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
        self.ratio = parse_ratio(ratio)
        self.view = view
        self.student_weight = student_weight
        terms = {name: dict(term) for name, term in (terms or {}).items() if term is not None}
        # What is built here must not move the random state of the student's training.
        with torch.random.fork_rng(devices=[]):
            self.teacher, self.teacher_missing = self._find_teacher(teacher, data_preprocessor)
            if self.teacher_missing:
                terms = {}
            self._check_options(terms, isrd)
            self.isrd_tap = self._isrd_tap(isrd) if isrd else None
            self.isrd_weight = isrd['weight'] if isrd else 0.0
            self.distill = self._build_terms(terms)
        self.data_preprocessor = self.registry.build(
            dict(
                type=self.preprocessor,
                student=self.data_preprocessor,
                teacher=self.teacher and self.teacher.model.data_preprocessor,
                ratio=self.ratio,
                student_view=view,
                teacher_view=self.teacher.view if self.teacher else 'hr',
                target=bool(isrd),
            )
        )

    def _find_teacher(
        self, teacher: dict | None, data_preprocessor: dict | None
    ) -> tuple[Teacher | None, FileNotFoundError | None]:
        """The teacher, if there is one; a missing config file matters only to training."""
        if teacher and ('cfg' not in teacher or {*teacher} - {'cfg', 'checkpoint', 'view'}):
            raise ValueError(
                f'teacher={teacher}: write teacher=dict(cfg=model or file, checkpoint=file'
                "[, view='hr'])"
            )
        if teacher and isinstance(teacher['cfg'], dict):
            teacher = {**teacher, 'cfg': with_preprocessor(teacher['cfg'], data_preprocessor)}
        try:
            return Teacher(self.registry, **teacher) if teacher else None, None
        except FileNotFoundError as error:
            return None, FileNotFoundError(f'teacher.cfg={teacher["cfg"]!r}: {error}')

    def _check_options(self, terms: dict[str, dict], isrd: dict | None) -> None:
        sides = {'view': self.view, 'teacher.view': self.teacher.view if self.teacher else 'hr'}
        for option, view in sides.items():
            if view not in VIEWS:
                raise ValueError(f"{option}={view!r}: must be 'hr' or 'lr'")
        if self.teacher and (self.view, self.teacher.view) == ('hr', 'lr'):
            raise ValueError(
                "view='hr' with teacher.view='lr': a student that reads the large image learns "
                "from a teacher that reads it too: set teacher.view='hr'"
            )
        if not isinstance(self.student_weight, Real) or self.student_weight < 0:
            raise ValueError(f'student_weight={self.student_weight!r}: write a number from 0 on')
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

    def _isrd_tap(self, isrd: dict) -> str:
        names = dict(self.named_modules())
        tap = isrd.get('tap') or next((stem for stem in STEMS if stem in names), None)
        if tap is None:
            raise ValueError(f'isrd: the backbone has none of {STEMS}; set isrd=dict(tap=…)')
        return tap

    def _build_terms(self, terms: dict[str, dict]) -> nn.ModuleDict:
        modules = nn.ModuleDict()
        student_taps = [term['student'] for term in terms.values()]
        if self.isrd_tap:
            student_taps.append(self.isrd_tap)
        if not student_taps:
            return modules
        own, other, sides = self._try_both(
            student_taps, [term['teacher'] for term in terms.values()]
        )
        if terms:
            self._check_channels(sides)
        for name, term in terms.items():
            modules[name] = self._build_term(
                **term,
                outputs=(own[term['student']], other[term['teacher']]),
                pixels=(sides[self.view], sides[self.teacher.view]),
            )
        if self.isrd_tap:
            stem = feature_maps(Tap.parse(self.isrd_tap), own[self.isrd_tap])[0]
            stride = round(sides['lr'] / stem.shape[-1])
            channels = image_channels(self, sides['lr'])
            modules['isrd'] = ISRD(stem.shape[1], stride, self.ratio, channels)
        return modules

    def _check_channels(self, sides: dict[str, int]) -> None:
        """Refuse, by a ValueError, networks that read images of different channels.

        Args:
            sides: Of a photograph that both read, in each view.
        """
        own = image_channels(self, sides[self.view])
        other = image_channels(self.teacher.model, sides[self.teacher.view])
        if own != other:
            raise ValueError(
                f'the student reads images of {own} channels, the teacher of {other}: the two '
                'views of a photograph have the same, so both need the same backbone.in_channels'
            )

    def _try_both(
        self, student_taps: list[str], teacher_taps: list[str]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
        """What both sides put out at their taps for one photograph, and its side in each view.

        Raises:
            ValueError: If they run on no size that both could read.
        """
        errors = {}
        for sides in self._trial_sides():
            try:
                own = self._try(self, student_taps, 'student', sides[self.view])
                other = {}
                if teacher_taps:
                    model, view = self.teacher.model, self.teacher.view
                    other = self._try(model, teacher_taps, 'teacher', sides[view])
                return own, other, sides
            except (AssertionError, RuntimeError) as error:
                errors['{hr} and {lr}'.format(**sides)] = error
        raise ValueError(
            'student and teacher do not both run on images of one photograph; on hr and lr of\n'
            + '\n'.join(f'  {sides} pixels: {error!r}' for sides, error in errors.items())
        )

    def _trial_sides(self) -> Iterator[dict[str, int]]:
        """Sides of the photograph in each view, in the order in which they are tried."""
        # The strides divide the first; SSD and deformable convolutions need a larger map.
        for side in (COARSEST_STRIDE, LARGER_SIDE):
            lr = side * self.ratio.denominator
            yield dict(lr=lr, hr=int(lr * self.ratio))
        # Mixers and some transformers read one size only.
        own = [(self, self.view)]
        if self.teacher is not None:
            own.append((self.teacher.model, self.teacher.view))
        sizes = [(_img_size(model), view) for model, view in own] + [(USUAL_SIDE, 'hr')]
        for size, view in sizes:
            hr = size * (self.ratio if view == 'lr' else 1)
            lr = hr / self.ratio
            if size and hr == int(hr) and lr == int(lr):
                yield dict(lr=int(lr), hr=int(hr))

    def _build_term(self, **term: Any) -> nn.Module:
        return FeatureTerm(self.registry, **term)

    def _try(self, model: nn.Module, taps: Iterable[str], side: str, pixels: int) -> dict[str, Any]:
        """What a model puts out at its taps for a photograph of ``pixels`` squared, by tap.

        Raises:
            ValueError: If a tap names nothing or does not run, or is the student's and has
                nothing trainable before it.
        """
        paths = {tap: Tap.parse(tap).path for tap in taps}
        tapping = self.taps(model, paths.values(), side)
        # Models are built on the CPU, also those that only a GPU can train.
        with cpu_operators(), torch.enable_grad(), evaluating(model):
            image = torch.zeros(1, image_channels(model, pixels), pixels, pixels)
            with tapping as tapped:
                self._forward_to_outputs(model, image, {*paths.values()})
        for tap, path in paths.items():
            if tapped.outputs.get(path) is None:
                raise ValueError(f'tap {tap!r} does not run in a forward pass of the {side}')
            leaves = tree_leaves(tapped.outputs[path])
            trainable = any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves)
            if side == 'student' and not trainable:
                raise ValueError(
                    f'tap {tap!r} of the student has nothing trainable before it, so its term '
                    'could teach nothing: unfreeze the backbone (frozen_stages=-1) or tap later'
                )
        return {tap: tapped.outputs[path] for tap, path in paths.items()}

    def _forward_to_outputs(self, model: nn.Module, inputs: Tensor, paths: set[str]) -> None:
        """Run a side from its images (N, C, H, W) to what it puts out at ``paths``."""
        model(inputs, mode='tensor')

    @torch.no_grad()
    def _run_teacher(self, inputs: Tensor, paths: set[str], own: dict[str, Any]) -> dict[str, Any]:
        """What the teacher puts out at ``paths``; nothing behind the last is computed.

        Args:
            inputs: Its images (N, C, H, W).
            paths: Taps of the teacher.
            own: What the student put out at its own.
        """
        with self.taps(self.teacher.model, paths, 'teacher', stop=True) as tapped:
            self._forward_to_outputs(self.teacher.model, inputs, paths)
        return tapped.outputs

    def init_weights(self) -> None:
        """Initialise the student and load the teacher's checkpoint: training starts.

        Raises:
            FileNotFoundError: If the teacher's config or checkpoint is not there.
            ValueError: If the checkpoint does not fit, see :meth:`Teacher.load`.
        """
        if self.teacher_missing:
            raise self.teacher_missing
        super().init_weights()
        if self.teacher is not None:
            self.teacher.load()

    def check_pipeline(self, transforms: Sequence[BaseTransform]) -> None:
        """Refuse a pipeline that does not suit the distiller.

        Raises:
            ValueError: If it makes views of another ratio, or both views for a student that reads
                the large one (annotations are those of the small one).
        """
        for transform in transforms:
            if not isinstance(transform, LowResolution):
                continue
            if transform.ratio != self.ratio:
                raise ValueError(
                    f'the distiller has ratio={self.ratio}, but a pipeline has '
                    f'LowResolution(ratio={transform.ratio}): they must be equal'
                )
            if self.view == 'hr' and 'lr' in transform.views:
                raise ValueError(
                    "the student has view='hr', but a pipeline has "
                    f"LowResolution(views={transform.views}): set views=['hr']"
                )

    def loss(self, batch_inputs: dict[str, Tensor] | Tensor, batch_data_samples: list) -> dict:
        """The student's own losses, and one entry ``distill_<name>_loss`` a term.

        Args:
            batch_inputs: ``student``, ``teacher`` (and ``target``) images (N, C, H, W), each in
                its view and normalisation; or the student's images alone where there is no term.
            batch_data_samples: The student's.

        Raises:
            ValueError: If there are terms, but the batch carries one view.
            RuntimeError: If a tapped output has no gradient: it is checkpointed, or all is frozen.
        """
        if not isinstance(batch_inputs, dict):
            if len(self.distill):
                raise ValueError(
                    f'terms {list(self.distill)} need both views, but the batch carries one: set '
                    "LowResolution(views=('hr', 'lr')) in the pipeline, and "
                    f'{self.data_preprocessor.packing}'
                )
            return self._weighted(super().loss(batch_inputs, batch_data_samples))
        with self.taps(self, self._student_paths(), 'student') as tapped:
            losses = super().loss(batch_inputs['student'], batch_data_samples)
        _check_gradients(self, tapped.outputs)
        return self._weighted(losses) | self._distill_losses(
            tapped.outputs, batch_inputs, batch_data_samples
        )

    def _weighted(self, losses: dict) -> dict:
        """The student's own losses with their weight; what is only logged stays."""
        if self.student_weight == 1:
            return losses
        return {
            name: tree_map(partial(mul, self.student_weight), value) if 'loss' in name else value
            for name, value in losses.items()
        }

    def _terms(self) -> dict[str, nn.Module]:
        return {name: module for name, module in self.distill.items() if name != 'isrd'}

    def _student_paths(self) -> list[str]:
        paths = [term.student.path for term in self._terms().values()]
        return paths + [Tap.parse(self.isrd_tap).path] if self.isrd_tap else paths

    def _distill_losses(
        self, own: dict[str, Any], inputs: dict[str, Tensor], data_samples: list
    ) -> dict[str, Tensor]:
        losses = {}
        terms = self._terms()
        if terms:
            paths = {term.teacher.path for term in terms.values()}
            other = self._run_teacher(inputs['teacher'], paths, own)
        for name, term in terms.items():
            value = term(
                self,
                own[term.student.path],
                other[term.teacher.path],
                data_samples,
            )
            losses[f'distill_{name}_loss'] = value
        if self.isrd_tap:
            tap = Tap.parse(self.isrd_tap)
            feature = feature_maps(tap, own[tap.path])[0]
            shapes = [
                tuple(int(side * self.ratio) for side in sample.img_shape[:2])
                for sample in data_samples
            ]
            value = self.distill['isrd'](feature, inputs['target'], shapes)
            losses['distill_isrd_loss'] = self.isrd_weight * value
        return losses

    def parse_losses(self, losses: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss and the logged values, with each term's share of the total."""
        total, log_vars = super().parse_losses(losses)
        for name in self.distill:
            share = log_vars[f'distill_{name}_loss'].detach() / total.detach()
            log_vars[f'distill_{name}_share'] = share
        return total, log_vars

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> nn.Module:
        """Moves and casts reach the teacher too."""
        if self.teacher is not None:
            self.teacher.model._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)


def _img_size(model: nn.Module) -> int:
    """The side of the images for which a backbone was made, 0 if it does not say."""
    size = getattr(model.backbone, 'img_size', None) or 0
    return int(size if isinstance(size, Real) else size[0])


def _check_gradients(model: nn.Module, outputs: dict[str, Any]) -> None:
    """Notice what the trial at build time could not see: terms that would teach nothing."""
    for path, output in outputs.items():
        leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if torch.is_grad_enabled() and leaves and not any(leaf.requires_grad for leaf in leaves):
            before = list(_parameters_before(model, path))
            reason = (
                'is it inside of what activation_checkpointing names? Use with_cp=True of the '
                'backbone instead'
                if any(parameter.requires_grad for parameter in before)
                else f'all {len(before)} parameters before it have been frozen since the model '
                'was built, as a hook of custom_hooks may do: its term could teach nothing. '
                'Freeze less, tap later, or leave the term out'
            )
            raise RuntimeError(f'tap {path!r} of the student has no gradient in training: {reason}')


def _parameters_before(model: nn.Module, path: str) -> Iterator[nn.Parameter]:
    """Those of a module and of all that are registered before it, as a rule in running order."""
    modules = [(name, module) for name, module in model.named_modules() if name]
    inside = [f'{name}.'.startswith(f'{path}.') for name, _ in modules]
    end = len(modules) - inside[::-1].index(True)
    for name, module in modules[:end]:
        if not path.startswith(f'{name}.'):  # what holds the module may have some that come later
            yield from module.parameters(recurse=False)
