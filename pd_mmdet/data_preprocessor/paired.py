"""What the paired preprocessors of detectors and classifiers share."""

import copy
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from mmengine.model import BaseDataPreprocessor
from mmengine.registry import Registry
from torch import Tensor, nn

from ..ratio import parse_ratio


class PairedDataPreprocessor(BaseDataPreprocessor):
    """Prepare batches for a student and a teacher that may read different views.

    In training, each side's view is normalised as that side's own preprocessor does, and padded
    so that ``hr``'s padded shape is exactly ``ratio`` times ``lr``'s and suits both sides. Outside
    of training, and for ordinary batches, it is the student's own preprocessor.

    A task's face names the stock preprocessor of its sides and augments whole batches.

    Args:
        student: the student's own preprocessor, built or its config; of the stock type where that
            names none.
        ratio: side of ``hr`` over side of ``lr``, see :func:`parse_ratio`.
        teacher: the teacher's own, likewise; None where there is no teacher.
        student_view: what the student reads, 'lr' or 'hr'.
        teacher_view: what the teacher reads.
        target: also yield what ISRD rebuilds: ``hr`` in the student's normalisation.

    Raises:
        TypeError: a side's preprocessor is not of the stock type.
        ValueError: an option is not as above, or a batch augmentation can't be paired.
    """

    registry: Registry
    stock: type[BaseDataPreprocessor]
    channel_order: str  # the stock type's attribute that says whether it swaps channels
    packing: str  # the transform that packs pairs

    def __init__(
        self,
        student: dict | BaseDataPreprocessor,
        ratio: int | float | str | Fraction,
        teacher: dict | BaseDataPreprocessor | None = None,
        student_view: str = 'lr',
        teacher_view: str = 'hr',
        target: bool = False,
    ) -> None:
        super().__init__()
        self.ratio = parse_ratio(ratio)
        self.student = self._build('student', student)
        self.views = dict(student=student_view)
        sides = dict(student=self.student)
        if teacher is not None:
            self.views['teacher'] = teacher_view
            sides['teacher'] = self._build('teacher', teacher)
        if target:
            if student_view != 'lr':
                raise ValueError(f"target=True is for student_view='lr'; got {student_view!r}")
            self.views['target'] = 'hr'
            sides['target'] = self.student
        for name, view in self.views.items():
            if view not in ('hr', 'lr'):
                raise ValueError(f"{name}_view must be 'hr' or 'lr'; got {view!r}")
        divisors = self._pad_divisors(sides)
        self.paired = nn.ModuleDict(
            {name: self._to_pair(side, divisors[self.views[name]]) for name, side in sides.items()}
        )
        self.sources = self._sources()
        self._check_augments()

    def _build(self, name: str, preprocessor: dict | BaseDataPreprocessor) -> BaseDataPreprocessor:
        if isinstance(preprocessor, Mapping):
            # MMPretrain's RandomBatchAugment appends to the list in its config.
            preprocessor = copy.deepcopy(preprocessor)
            preprocessor = self.registry.build(preprocessor, default_args=dict(type=self.stock))
        if not isinstance(preprocessor, self.stock):
            raise TypeError(
                f"the {name}'s data preprocessor must be a {self.stock.__name__}; "
                f'got {type(preprocessor).__name__}'
            )
        return preprocessor

    def _pad_divisors(self, sides: dict[str, BaseDataPreprocessor]) -> dict[str, int]:
        """What each view's padded sides are multiples of, in training."""
        divisors: dict[str, list[int]] = dict(hr=[], lr=[])
        for name, side in sides.items():
            # The target follows whatever the student's view is padded to.
            divisors[self.views[name]].append(1 if name == 'target' else side.pad_size_divisor)
        hr, lr = math.lcm(*divisors['hr']), math.lcm(*divisors['lr'])
        if divisors['hr'] and divisors['lr']:
            lr *= (self.ratio * lr / hr).denominator
            hr = int(self.ratio * lr)
        return dict(hr=hr, lr=lr)

    def _to_pair(self, side: BaseDataPreprocessor, divisor: int) -> BaseDataPreprocessor:
        """A copy that pads to multiples of ``divisor`` and doesn't augment by itself."""
        side = copy.deepcopy(side)
        side.pad_size_divisor = divisor
        side.batch_augments = None
        return side

    def _sources(self) -> dict[str, str]:
        """For each side, the first one whose tensor is the same."""
        first: dict[tuple, str] = {}
        return {
            name: first.setdefault((self.views[name], *self._normalisation(side)), name)
            for name, side in self.paired.items()
        }

    def _normalisation(self, side: BaseDataPreprocessor) -> tuple:
        statistics = (side.mean.tolist(), side.std.tolist()) if side._enable_normalize else None
        channels = getattr(side, self.channel_order)
        return (type(side), repr(statistics), channels, side.pad_value)

    def _check_augments(self) -> None:
        """Refuse, by a ValueError, a student's batch augmentation that can't be paired."""
        raise NotImplementedError

    def _augment(self, tensors: dict[str, Tensor], samples: list) -> None:
        """Let the student's batch augmentations change all views together, in place.

        Only the student's: a teacher's own were for its training, and both sides must see the
        same image.

        Args:
            tensors: what ``sources`` name, by side: (N, C, H, W), normalised and padded.
            samples: the student's data samples.
        """
        raise NotImplementedError

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``inputs``, of one view or a dict of one entry per view: a list of images
                (C, H, W), or stacked (N, C, H, W); and ``data_samples``, those of the student.
            training: whether the batch is for training.

        Returns:
            In training on paired views, ``inputs=dict(student=(N, C, H, W), teacher=…,
            target=…)``, of the sides there are (sides share their tensor if it is the same), and
            the student's ``data_samples``. Otherwise what the student's own preprocessor makes of
            its view.

        Raises:
            ValueError: the batch lacks a view that is read, or its ratio is another one.
        """
        for side in (self.student, *self.paired.values()):
            side._device = self.device  # only the outermost preprocessor is told where it went
        if not isinstance(data['inputs'], Mapping):
            if not training or len(self.paired) == 1:
                return self.student(data, training)
            data = self._as_paired(data)
        self._check(data['inputs'], self.views if training else ['student'])
        if training:
            return self._forward_paired(data)
        view = self.views['student']
        return self.student({**data, 'inputs': data['inputs'][view]}, training)

    def _as_paired(self, data: dict) -> dict:
        """Read a batch of one view as a paired one, where both sides read the same."""
        view, *others = set(self.views.values())
        if others:
            raise ValueError(
                f'the batch carries one view, but training reads {self.views}: let the training '
                f"pipeline end with LowResolution(views=('hr', 'lr')) and {self.packing}"
            )
        return {**data, 'inputs': {view: data['inputs']}}

    def _check(self, images: Mapping[str, Iterable[Tensor]], names: Iterable[str]) -> None:
        for name in names:
            view = self.views[name]
            if view not in images:
                raise ValueError(
                    f'{name} reads view {view!r} but the batch carries {sorted(images)}: '
                    f'add {view!r} to LowResolution(views=…)'
                )
        if not {'hr', 'lr'} <= images.keys():
            return
        if self.views['student'] == 'hr':
            raise ValueError(
                "the student reads view 'hr' but the batch carries both views, with the "
                "annotations of 'lr': set LowResolution(views=['hr'])"
            )
        for large, small in zip(images['hr'], images['lr'], strict=True):
            shape, small_shape = tuple(large.shape[-2:]), tuple(small.shape[-2:])
            if shape != tuple(self.ratio * side for side in small_shape):
                raise ValueError(
                    f"the data's ratio is {Fraction(shape[0], small_shape[0])} ({shape} over "
                    f"{small_shape}) where the distiller's is {self.ratio}: set "
                    f"LowResolution(ratio='{self.ratio}')"
                )

    def _forward_paired(self, data: dict[str, Any]) -> dict:
        images: dict[str, Any] = {}
        tensors: dict[str, Tensor] = {}
        samples: Any = data['data_samples']
        for name in dict.fromkeys(self.sources.values()):
            view = self.views[name]
            if view not in images:
                # Once, though two sides that normalise differently read it.
                images[view] = self.paired[name].cast_data(data['inputs'][view])
            batch = dict(inputs=images[view])
            if name == 'student':
                batch['data_samples'] = samples
            batch = self.paired[name](batch, training=True)
            tensors[name] = batch['inputs']
            if name == 'student':
                samples = batch['data_samples']
        self._augment(tensors, samples)
        inputs = {name: tensors[source] for name, source in self.sources.items()}
        return dict(inputs=inputs, data_samples=samples)
