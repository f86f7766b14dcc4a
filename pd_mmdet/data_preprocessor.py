"""Batches of paired views: each side gets its view, normalised and padded its way."""

import copy
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction

from mmdet.models.data_preprocessors import BatchSyncRandomResize, DetDataPreprocessor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from .ratio import parse_ratio


@MODELS.register_module()
class PairedDetDataPreprocessor(BaseDataPreprocessor):
    """Prepare batches for a student and a teacher that may read different views.

    In training, each side's view is normalised as that side's own preprocessor does, and padded
    so that ``hr``'s padded shape is exactly ``ratio`` times ``lr``'s and suits both sides. Outside
    of training, and for ordinary batches, it is the student's own preprocessor.

    Args:
        student: the student's own ``DetDataPreprocessor``, built or its config. Its
            ``BatchSyncRandomResize``, if it has one, resizes all views together.
        ratio: side of ``hr`` over side of ``lr``, see :func:`parse_ratio`.
        teacher: the teacher's own, likewise; None where there is no teacher.
        student_view: what the student reads, 'lr' or 'hr'.
        teacher_view: what the teacher reads.
        target: also yield what ISRD rebuilds: ``hr`` in the student's normalisation.

    Raises:
        TypeError: a side's preprocessor is not a ``DetDataPreprocessor``.
        ValueError: an option is not as above, or a batch augmentation can't be paired.
    """

    def __init__(
        self,
        student: dict | DetDataPreprocessor,
        ratio: int | float | str | Fraction,
        teacher: dict | DetDataPreprocessor | None = None,
        student_view: str = 'lr',
        teacher_view: str = 'hr',
        target: bool = False,
    ) -> None:
        super().__init__()
        self.ratio = parse_ratio(ratio)
        self.student = _build('student', student)
        self.views = dict(student=student_view)
        sides = dict(student=self.student)
        if teacher is not None:
            self.views['teacher'] = teacher_view
            sides['teacher'] = _build('teacher', teacher)
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
            {name: _padding_to(divisors[self.views[name]], side) for name, side in sides.items()}
        )
        self.sources = self._sources()
        self._check_augments(divisors[student_view])

    def _pad_divisors(self, sides: dict[str, DetDataPreprocessor]) -> dict[str, int]:
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

    def _sources(self) -> dict[str, str]:
        """For each side, the first one whose tensor is the same."""
        first: dict[tuple, str] = {}
        return {
            name: first.setdefault((self.views[name], *_normalisation(side)), name)
            for name, side in self.paired.items()
        }

    def _check_augments(self, divisor: int) -> None:
        for augment in self.student.batch_augments or ():
            if not isinstance(augment, BatchSyncRandomResize):
                raise ValueError(
                    f"the student's batch augmentation {type(augment).__name__} can't be applied "
                    'to paired views; only BatchSyncRandomResize can'
                )
            if augment._size_divisor % divisor:
                raise ValueError(
                    f"the student's BatchSyncRandomResize draws multiples of size_divisor="
                    f'{augment._size_divisor}; to suit both sides at ratio {self.ratio} they must '
                    f'be multiples of {divisor}'
                )

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``inputs`` and ``data_samples``, each a list, or a dict of one list per view.
            training: whether the batch is for training.

        Returns:
            In training on paired views, ``inputs=dict(student=(N, 3, H, W), teacher=…,
            target=…)`` and ``data_samples=dict(student=[…], teacher=[…])``, of the sides there
            are; sides with the same view share their samples, and their tensor if it is the same.
            Otherwise what the student's own preprocessor makes of its view.

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
        return self.student({key: value[view] for key, value in data.items()}, training)

    def _as_paired(self, data: dict) -> dict:
        """Read a batch of one view as a paired one, where both sides read the same."""
        view, *others = set(self.views.values())
        if others:
            raise ValueError(
                f'the batch carries one view, but training reads {self.views}: let the training '
                "pipeline end with LowResolution(views=('hr', 'lr')) and PackPairedDetInputs"
            )
        return {key: {view: value} for key, value in data.items()}

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
        for large, small in zip(images['hr'], images['lr'], strict=True):
            shape, small_shape = tuple(large.shape[-2:]), tuple(small.shape[-2:])
            if shape != tuple(self.ratio * side for side in small_shape):
                raise ValueError(
                    f"the data's ratio is {Fraction(shape[0], small_shape[0])} ({shape} over "
                    f"{small_shape}) where the distiller's is {self.ratio}: set "
                    f"LowResolution(ratio='{self.ratio}')"
                )

    def _forward_paired(self, data: dict) -> dict:
        tensors: dict[str, Tensor] = {}
        samples: dict[str, list[DetDataSample]] = {}
        for name in dict.fromkeys(self.sources.values()):
            view = self.views[name]
            batch = dict(inputs=data['inputs'][view])
            if view not in samples:
                batch['data_samples'] = data['data_samples'][view]
            batch = self.paired[name](batch, training=True)
            tensors[name] = batch['inputs']
            samples.setdefault(view, batch['data_samples'])
        # Only the student's: a teacher's own were for its training, and both sides must see
        # the same image.
        for augment in self.student.batch_augments or ():
            self._resize(augment, tensors, samples)
        return dict(
            inputs={name: tensors[source] for name, source in self.sources.items()},
            data_samples={
                name: samples[view] for name, view in self.views.items() if name != 'target'
            },
        )

    def _resize(
        self,
        augment: BatchSyncRandomResize,
        tensors: dict[str, Tensor],
        samples: dict[str, list[DetDataSample]],
    ) -> None:
        """Let the student's view be resized, and bring the others to the matching size."""
        student_view = self.views['student']
        tensors['student'], _ = augment(tensors['student'], samples[student_view])
        size = tensors['student'].shape[-2:]
        scale = dict(hr=self.ratio, lr=Fraction(1))
        resized = {student_view}
        for name in [name for name in tensors if name != 'student']:
            view = self.views[name]
            follower = copy.copy(augment)
            follower._interval = math.inf  # never draws
            follower._input_size = tuple(
                int(side * scale[view] / scale[student_view]) for side in size
            )
            tensors[name], _ = follower(tensors[name], [] if view in resized else samples[view])
            resized.add(view)


def _build(name: str, preprocessor: dict | DetDataPreprocessor) -> DetDataPreprocessor:
    if isinstance(preprocessor, Mapping):
        preprocessor = MODELS.build(preprocessor)
    if not isinstance(preprocessor, DetDataPreprocessor):
        raise TypeError(
            f"the {name}'s data preprocessor must be a DetDataPreprocessor; "
            f'got {type(preprocessor).__name__}'
        )
    return preprocessor


def _padding_to(divisor: int, side: DetDataPreprocessor) -> DetDataPreprocessor:
    """A copy that pads to multiples of ``divisor`` and doesn't augment by itself."""
    side = copy.deepcopy(side)
    side.pad_size_divisor = divisor
    side.batch_augments = None
    return side


def _normalisation(side: DetDataPreprocessor) -> tuple:
    statistics = (side.mean.tolist(), side.std.tolist()) if side._enable_normalize else None
    return (type(side), repr(statistics), side._channel_conversion, side.pad_value)
