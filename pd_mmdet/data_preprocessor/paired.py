"""Base class of the paired data preprocessors of detectors and classifiers."""

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

    There are up to three *sides*: ``student``, ``teacher``, and ``target`` (the image that ISRD
    rebuilds). In training, the view of each side is normalised by the side's own preprocessor, and
    padded so that the padded ``hr`` is exactly ``ratio`` times as large as the padded ``lr`` and
    both sizes suit student and teacher. In testing, or if the student is the only side, only the
    student's preprocessor runs.

    Subclasses name the ordinary preprocessor (``stock``) of their task and apply its batch
    augmentations.

    Args:
        student: The student's preprocessor, or its config; ``type`` may be left out.
        ratio: Side length of ``hr`` over that of ``lr``, see :func:`parse_ratio`; 1 if they have
            equal sizes.
        teacher: The teacher's preprocessor, or its config; None if there is no teacher.
        student_view: View that the student reads, 'lr' or 'hr'.
        teacher_view: View that the teacher reads, 'lr' or 'hr'.
        target: Also return the target of ISRD: ``hr`` in the student's normalisation.

    Raises:
        TypeError: A preprocessor is not of the type ``stock``.
        ValueError: An option has an unknown value, or a batch augmentation of the student cannot
            be applied to paired views.
    """

    registry: Registry
    stock: type[BaseDataPreprocessor]
    channel_order: str  # attribute of the stock type: True if it swaps channels
    packing: str  # name of the transform that packs paired views

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
        self.ratio = parse_ratio(ratio, allow_one=True)
        self.student = self._build('student', student)
        self.views = dict(student=student_view)
        sides = dict(student=self.student)
        if teacher is not None:
            self.views['teacher'] = teacher_view
            sides['teacher'] = self._build('teacher', teacher)
        if target:
            if student_view != 'lr':
                raise ValueError(f"target=True needs student_view='lr'; got {student_view!r}")
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
        """Compute the divisor of the padded height and width of each view, in training."""
        divisors: dict[str, list[int]] = dict(hr=[], lr=[])
        for name, side in sides.items():
            # The target has no divisor: its padding follows from that of the student's view.
            divisors[self.views[name]].append(1 if name == 'target' else side.pad_size_divisor)
        hr, lr = math.lcm(*divisors['hr']), math.lcm(*divisors['lr'])
        if divisors['hr'] and divisors['lr']:
            lr *= (self.ratio * lr / hr).denominator
            hr = int(self.ratio * lr)
        return dict(hr=hr, lr=lr)

    def _to_pair(self, side: BaseDataPreprocessor, divisor: int) -> BaseDataPreprocessor:
        """Copy a preprocessor so that it pads to multiples of ``divisor`` and does not augment."""
        side = copy.deepcopy(side)
        side.pad_size_divisor = divisor
        side.batch_augments = None
        return side

    def _sources(self) -> dict[str, str]:
        """Find for each side the first side that has the same tensor, to compute it only once."""
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
        """Refuse a batch augmentation of the student that cannot be applied to paired views.

        Raises:
            ValueError: A batch augmentation of the student cannot be applied to paired views.
        """
        raise NotImplementedError

    def _augment(self, tensors: dict[str, Tensor], samples: list) -> None:
        """Apply the student's batch augmentations to all views together, in place.

        Those of the teacher are ignored: they belong to its training, and both must see the same
        image.

        Args:
            tensors: Images (N, C, H, W) by side, normalised and padded.
            samples: The student's data samples.
        """
        raise NotImplementedError

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``inputs``: the images of one view, or a dict with the images of each view. The
                images are a list of (C, H, W) or a tensor (N, C, H, W). ``data_samples``: those of
                the student.
            training: True for training.

        Returns:
            In training on paired views ``inputs=dict(student=(N, C, H, W), teacher=…, target=…)``
            with the sides that exist (equal sides share one tensor), and the student's
            ``data_samples``. Otherwise the result of the student's preprocessor for its view.

        Raises:
            ValueError: A view that is read is not in the batch, or the ratio of its views is not
                ``ratio``.
        """
        for side in (self.student, *self.paired.values()):
            # The runner tells only the outermost preprocessor that the model moves.
            side._device = self.device
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
        """Convert a batch of one view to a paired batch, if all sides read this view."""
        view, *more = set(self.views.values())
        if more:
            raise ValueError(
                f'the batch has one view, but training reads {self.views}: end the training '
                f"pipeline with LowResolution(views=('hr', 'lr')) and {self.packing}"
            )
        return {**data, 'inputs': {view: data['inputs']}}

    def _check(self, images: Mapping[str, Iterable[Tensor]], names: Iterable[str]) -> None:
        for name in names:
            view = self.views[name]
            if view not in images:
                raise ValueError(
                    f'{name} reads view {view!r} but the batch has {sorted(images)}: '
                    f'add {view!r} to LowResolution(views=…)'
                )
        if not {'hr', 'lr'} <= images.keys():
            return
        if self.views['student'] == 'hr':
            raise ValueError(
                "the student reads view 'hr' but the batch has both views, with the "
                "annotations of 'lr': set LowResolution(views=['hr'])"
            )
        for large, small in zip(images['hr'], images['lr'], strict=True):
            shape, small_shape = tuple(large.shape[-2:]), tuple(small.shape[-2:])
            if shape != tuple(self.ratio * side for side in small_shape):
                raise ValueError(
                    f"the data's ratio is {Fraction(shape[0], small_shape[0])} ({shape} over "
                    f"{small_shape}), but the distiller's is {self.ratio}: set ratio and enlarge "
                    f'of LowResolution so that ratio / enlarge is {self.ratio}'
                )

    def _forward_paired(self, data: dict[str, Any]) -> dict:
        images: dict[str, Any] = {}
        tensors: dict[str, Tensor] = {}
        samples: Any = data['data_samples']
        for name in dict.fromkeys(self.sources.values()):
            view = self.views[name]
            if view not in images:
                # Move each view to the device only once, even if two sides read it.
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
