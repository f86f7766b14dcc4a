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
from ..sub_cells import check_cells
from ..taps import evaluating, unseen
from .alignable import check_alignable, check_class
from .pixels import to_small, with_predictions
from .preprocessor import rescale_preprocessor
from .rescale import FeatureRescale


@MODELS.register_module()
class AFPDetector(Mixin):
    """The assistant: the student's detector, but it reads the large image.

    Its outputs have the same size as those that the student has on the small image. It *is* the
    student's detector (same class, same names in the state dict), with two changes:

    - After the neck, the feature maps are shrunk by ``ratio`` to the rows and columns that the
      student has on the small image.
    - The heads measure in pixels of the small image. Data samples are divided by ``ratio`` before
      the heads read them, and predictions are multiplied by ``ratio``. This has the same effect
      as multiplying every stride, anchor and distance of the heads by ``ratio``.

    So prior i of the assistant covers the same part of the photograph as prior i of the student,
    and their outputs can be compared one to one. Callers pass data samples, and get predictions,
    in pixels of the large image.

    The rescale is our interpretation of AFP (Guo et al., TPAMI 2024, arXiv 2112.09532; its code
    for detection is not published). The tap ``neck.afp`` names the rescaled features.

    Args:
        detector: Config of the student's detector, as it reads the small image.
        ratio: Side length of the large image over the small one, see :func:`parse_ratio`. At 1,
            when the student reads a small image enlarged to the size of the large one, this is
            the student's detector unchanged.
        kernel: Window of the rescale, see :class:`FeatureRescale`.
        data_preprocessor: Config of the detector's data preprocessor on the small image. It is
            used if ``detector`` has none.

    Raises:
        NotImplementedError: The detector cannot be aligned, see ``alignable.py``.
        ValueError: ``ratio`` or ``kernel`` has an unknown value; or the detector has more
            sub-cells than the ratio allows, see :func:`check_cells`.
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
        exact = parse_ratio(ratio, allow_one=True)
        model = MODELS.build(rescale_preprocessor(detector, exact))
        check_alignable(model)
        check_cells(model, exact)
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
        self.neck.afp = FeatureRescale(parse_ratio(ratio, allow_one=True), kernel)
        self.small_sizes: dict[tuple[int, int], list[torch.Size]] = {}

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of large images, rescaled to the size of the student's features.

        Args:
            batch_inputs: Large images (N, C, H, W).

        Returns:
            A map (N, C', h, w) for each level; h and w are those of the student's map of the small
            images (N, C, H / ratio, W / ratio).

        Raises:
            ValueError: H / ratio or W / ratio is not a whole number.
            RuntimeError: The student cannot read images as small as that.
        """
        feats = super().extract_feat(batch_inputs)
        if self.neck.afp.ratio == 1:  # there is no need to run the network on another image
            sizes = [feat.shape[-2:] for feat in feats]
        else:
            sizes = self._small_sizes(batch_inputs)
        return self.neck.afp(feats, sizes)

    def _small_sizes(self, batch_inputs: Tensor) -> list[torch.Size]:
        """Find (rows, columns) of each level on the small image: run the student once per size."""
        height, width = batch_inputs.shape[-2:]
        shape = int(height), int(width)  # they are tensors while the model is traced
        if shape not in self.small_sizes:
            small = [side / self.neck.afp.ratio for side in shape]
            if not all(side.denominator == 1 for side in small):
                raise ValueError(
                    f'images of (height, width) = {shape} pixels: ratio={self.neck.afp.ratio} does '
                    'not divide both sides; pad the images as the data preprocessor does'
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
                'the student cannot read small images of (height, width) = '
                f'{tuple(image.shape[-2:])} pixels: {error}'
            ) from error

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict:
        """Compute the losses of the student's detector.

        Args:
            batch_inputs: Large images (N, C, H, W).
            batch_data_samples: Boxes and masks in pixels of the large images.
        """
        return super().loss(batch_inputs, self._small_samples(batch_data_samples))

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """Predict, and put the predictions into the samples.

        Args:
            batch_inputs: Large images (N, C, H, W).
            batch_data_samples: The samples of these images.
            rescale: Return predictions in pixels of the file; False: of the large image.

        Raises:
            ValueError: ``rescale`` is True, but a sample has no ``scale_factor``.
        """
        if rescale and not all('scale_factor' in sample for sample in batch_data_samples):
            raise ValueError(
                'predictions cannot be rescaled to pixels of the file: the samples have no '
                "scale_factor; add 'scale_factor' to the meta_keys of PackDetInputs"
            )
        found = super().predict(batch_inputs, self._small_samples(batch_data_samples), rescale)
        ratio = 1 if rescale else self.neck.afp.ratio
        return [
            with_predictions(sample, small, ratio)
            for sample, small in zip(batch_data_samples, found, strict=True)
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
    """A sequence of necks that also holds the rescale, but does not run it.

    The rescale needs the sizes as a second argument, so the assistant calls it.
    """

    def __iter__(self) -> Iterator[nn.Module]:
        return (module for module in super().__iter__() if not isinstance(module, FeatureRescale))
