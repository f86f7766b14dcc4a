"""Paired data preprocessor of classifiers."""

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
    """Pair of MMPretrain's ``ClsDataPreprocessor``, see :class:`PairedDataPreprocessor`.

    The student's ``Mixup`` and ``CutMix``, if it has them, mix all views in the same way. The data
    samples have the mixed scores. Other batch augmentations are refused.
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
                    'to paired views; only Mixup and CutMix can be'
                )

    def _forward_paired(self, data: dict[str, Any]) -> dict:
        view = self.views['student']
        # ISRD needs img_shape, but the meta_keys of a pipeline may leave it out.
        for sample, img in zip(data['data_samples'], data['inputs'][view], strict=True):
            if 'img_shape' not in sample:
                sample.set_metainfo(dict(img_shape=tuple(img.shape[-2:])))
        return super()._forward_paired(data)

    def _augment(self, tensors: dict[str, Tensor], samples: list[DataSample]) -> None:
        """Mix all views at once, as channels of one image.

        At ratio p/q, p × p pixels of ``hr`` cover the same part of the photograph as q × q pixels
        of ``lr``. Each such block becomes one pixel with many channels, so that both views have
        the same number of pixels and are cut at the same places.
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
        """Return the side of a block in pixels of each side's view; 1 if there is one view only."""
        paired = {'hr', 'lr'} <= {*self.views.values()}
        ratio = self.ratio if paired else Fraction(1)
        sides = dict(hr=ratio.numerator, lr=ratio.denominator)
        return {name: sides[view] for name, view in self.views.items()}
