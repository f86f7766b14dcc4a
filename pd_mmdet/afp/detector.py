from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from ..mixin import Mixin, put_in_front, with_preprocessor
from ..ratio import parse_ratio
from ..taps import evaluating, unseen
from .alignable import check_alignable, check_class
from .pixels import to_small, with_predictions
from .preprocessor import rescale_preprocessor
from .rescale import FeatureRescale


@MODELS.register_module()
class AFPDetector(Mixin):
    """The assistant: a student's detector that reads the large image and answers on its grid.

    It *is* the student's detector (same class, same state dict) with, after the neck, features
    rescaled to the cells that the student has on the small image. Everything behind the neck
    measures in pixels ``ratio`` times as large as those of the image: the same as ``ratio`` times
    every stride, anchor, range and distance, those that no config says included. So prior i of
    the assistant is ``ratio`` × prior i of the student, one to one, and what its heads put out is
    in the student's pixels; data samples go in, and predictions come out, in the image's own.

    The rescale is our reading of AFP (Guo et al., TPAMI 2024, arXiv 2112.09532, whose detection
    code is not released); the place ``neck.afp`` names its output.

    Args:
        detector: Config of the student's detector, as it reads the small image.
        ratio: Side length of the large image over the small one, see :func:`parse_ratio`.
        kernel: Window of the rescale, see :class:`FeatureRescale`.
        data_preprocessor: The detector's on the small image, where its config has none.

    Raises:
        NotImplementedError: If the detector cannot be aligned, see ``alignable.py``.
        ValueError: If ``ratio`` or ``kernel`` is none.
    """

    def __new__(
        cls,
        detector: dict,
        ratio: float | str | Fraction,
        kernel: str = 'average',
        data_preprocessor: dict | None = None,
    ) -> AFPDetector:
        check_class(detector)
        detector = with_preprocessor(detector, data_preprocessor)
        model = MODELS.build(rescale_preprocessor(detector, parse_ratio(ratio)))
        check_alignable(model)
        return put_in_front(cls, model)

    def __init__(
        self,
        detector: dict,
        ratio: float | str | Fraction,
        kernel: str = 'average',
        data_preprocessor: dict | None = None,
    ) -> None:
        if isinstance(self.neck, nn.Sequential):
            put_in_front(_SequentialNeck, self.neck)
        self.neck.afp = FeatureRescale(parse_ratio(ratio), kernel)
        self.small_sizes: dict[tuple[int, int], list[torch.Size]] = {}

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of the large images (N, C, H, W), one map a level with the student's cells.

        Raises:
            ValueError: If ``ratio`` does not divide H and W.
            RuntimeError: If the student cannot read images as small as it makes them.
        """
        return self.neck.afp(super().extract_feat(batch_inputs), self._small_sizes(batch_inputs))

    def _small_sizes(self, batch_inputs: Tensor) -> list[torch.Size]:
        """(rows, columns) of each level on the small image: found by a try, once a size."""
        height, width = batch_inputs.shape[-2:]
        shape = int(height), int(width)  # tensors, when the model is traced
        if shape not in self.small_sizes:
            small = [side / self.neck.afp.ratio for side in shape]
            if not all(side.denominator == 1 for side in small):
                raise ValueError(
                    f'images of {shape} pixels: the ratio {self.neck.afp.ratio} does not divide '
                    'them; pad them as the data preprocessor does'
                )
            self.small_sizes[shape] = self._measure(
                batch_inputs.new_zeros(1, batch_inputs.shape[1], *map(int, small))
            )
        return self.small_sizes[shape]

    def _measure(self, image: Tensor) -> list[torch.Size]:
        try:
            with torch.no_grad(), evaluating(self), unseen():
                return [feat.shape[-2:] for feat in super().extract_feat(image)]
        except RuntimeError as error:
            raise RuntimeError(
                f'the student cannot read small images of {tuple(image.shape[-2:])} pixels: {error}'
            ) from error

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        """The student's losses, of boxes and masks in pixels of the large images."""
        return super().loss(batch_inputs, self._small_samples(batch_data_samples))

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """The samples with predictions, in pixels of the file or (not rescaled) the large image.

        Raises:
            ValueError: If the samples do not say how large the file is.
        """
        if rescale and not all('scale_factor' in sample for sample in batch_data_samples):
            raise ValueError(
                'predictions cannot be brought to the pixels of the file: scale_factor is not '
                'among the meta_keys of PackDetInputs'
            )
        found = super().predict(batch_inputs, self._small_samples(batch_data_samples), rescale)
        ratio = 1 if rescale else self.neck.afp.ratio
        return [
            with_predictions(sample, own, ratio)
            for sample, own in zip(batch_data_samples, found, strict=True)
        ]

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample] | None = None
    ) -> Any:
        return super()._forward(batch_inputs, self._small_samples(batch_data_samples))

    def _small_samples(
        self, data_samples: list[DetDataSample] | None
    ) -> list[DetDataSample] | None:
        return data_samples and [to_small(sample, self.neck.afp.ratio) for sample in data_samples]


class _SequentialNeck(Mixin):
    """Necks that run one after the other; the rescale, which takes the sizes too, is not one."""

    def __iter__(self) -> Iterator[nn.Module]:
        return (module for module in super().__iter__() if not isinstance(module, FeatureRescale))
