"""Paired data preprocessor of detectors."""

import copy
import math
from fractions import Fraction

from mmdet.models.data_preprocessors import BatchSyncRandomResize, DetDataPreprocessor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import Tensor

from .paired import PairedDataPreprocessor


@MODELS.register_module()
class PairedDetDataPreprocessor(PairedDataPreprocessor):
    """Pair of MMDetection's ``DetDataPreprocessor``, see :class:`PairedDataPreprocessor`.

    The student's ``BatchSyncRandomResize``, if it has one, resizes all views together. Other batch
    augmentations are refused.
    """

    registry = MODELS
    stock = DetDataPreprocessor
    channel_order = '_channel_conversion'
    packing = 'PackPairedDetInputs'

    def _to_pair(self, side: DetDataPreprocessor, divisor: int) -> DetDataPreprocessor:
        side = super()._to_pair(side, divisor)
        side.pad_mask = side.pad_seg = True  # masks must have the padded size of the image
        return side

    def _check_augments(self) -> None:
        divisor = self.paired['student'].pad_size_divisor
        for augment in self.student.batch_augments or ():
            if not isinstance(augment, BatchSyncRandomResize):
                raise ValueError(
                    f"the student's batch augmentation {type(augment).__name__} can't be applied "
                    'to paired views; only BatchSyncRandomResize can be'
                )
            if augment._size_divisor % divisor:
                raise ValueError(
                    f"the student's BatchSyncRandomResize draws multiples of size_divisor="
                    f'{augment._size_divisor}; to suit student and teacher at ratio {self.ratio} '
                    f'they must be multiples of {divisor}'
                )

    def _augment(self, tensors: dict[str, Tensor], samples: list[DetDataSample]) -> None:
        for augment in self.student.batch_augments or ():
            self._resize(augment, tensors, samples)

    def _resize(
        self,
        augment: BatchSyncRandomResize,
        tensors: dict[str, Tensor],
        samples: list[DetDataSample],
    ) -> None:
        """Resize the student's view, then the other views to the matching size."""
        student_view = self.views['student']
        tensors['student'], _ = augment(tensors['student'], samples)
        size = tensors['student'].shape[-2:]
        scale = dict(hr=self.ratio, lr=Fraction(1))
        for name in [name for name in tensors if name != 'student']:
            view = self.views[name]
            follower = copy.copy(augment)
            follower._interval = math.inf  # so that it never draws another size
            follower._input_size = tuple(
                int(side * scale[view] / scale[student_view]) for side in size
            )
            tensors[name], _ = follower(tensors[name], [])
