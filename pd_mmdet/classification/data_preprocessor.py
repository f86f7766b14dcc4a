"""The paired preprocessor of classifiers."""

from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.models.utils.batch_augments import CutMix, Mixup
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from ..data_preprocessor import PairedDataPreprocessor


@MODELS.register_module()
class PairedClsDataPreprocessor(PairedDataPreprocessor):
    """Pairs of MMPretrain's ``ClsDataPreprocessor``, see :class:`PairedDataPreprocessor`.

    The student's ``Mixup`` and ``CutMix``, if it has them, mix all views alike, drawn once, and
    the data samples carry the mixed scores; other batch augmentations are refused.
    """

    registry = MODELS
    stock = ClsDataPreprocessor
    channel_order = 'to_rgb'
    packing = 'PackPairedInputs'

    def _check_augments(self) -> None:
        for augment in getattr(self.student.batch_augments, 'augments', ()):
            # By type: ResizeMix is a CutMix, too.
            if augment is not None and type(augment) not in (Mixup, CutMix):
                raise ValueError(
                    f"the student's batch augmentation {type(augment).__name__} can't be applied "
                    'to paired views; only Mixup and CutMix can'
                )

    def _forward_paired(self, data: dict[str, Any]) -> dict:
        view = self.views['student']
        # ISRD needs it, and a pipeline's meta_keys may have left it out.
        for sample, img in zip(data['data_samples'], data['inputs'][view], strict=True):
            if 'img_shape' not in sample:
                sample.set_metainfo(dict(img_shape=tuple(img.shape[-2:])))
        return super()._forward_paired(data)

    def _augment(self, tensors: dict[str, Tensor], samples: list[DataSample]) -> None:
        """Mix all views at once, as channels of one image.

        Its pixels are the cells of the finest grid that both views have: p x p pixels of ``hr``
        are q x q of ``lr``, where the ratio is p/q. So a mixed ``lr`` shows the mixed ``hr``.
        """
        if self.student.batch_augments is None or 'gt_score' not in samples[0]:
            return
        scores = torch.stack([sample.gt_score for sample in samples])
        cells = self._pixels_of_a_cell()
        grids = [F.pixel_unshuffle(img, cells[name]) for name, img in tensors.items()]
        mixed, scores = self.student.batch_augments(torch.cat(grids, dim=1), scores)
        parts = mixed.split([grid.shape[1] for grid in grids], dim=1)
        for name, part in zip(list(tensors), parts, strict=True):
            tensors[name] = F.pixel_shuffle(part, cells[name])
        for sample, score in zip(samples, scores, strict=True):
            sample.set_gt_score(score)

    def _pixels_of_a_cell(self) -> dict[str, int]:
        """The side of a cell in each side's pixels; a pixel where there is but one view."""
        paired = {'hr', 'lr'} <= {*self.views.values()}
        ratio = self.ratio if paired else Fraction(1)
        sides = dict(hr=ratio.numerator, lr=ratio.denominator)
        return {name: sides[view] for name, view in self.views.items()}
