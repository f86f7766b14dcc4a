from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..mixin import put_in_front, with_preprocessor
from ..ratio import parse_ratio
from .priors import rescale_priors
from .rescale import FeatureRescale


@MODELS.register_module()
class AFPDetector:
    """The assistant: a student's detector that reads the large image and answers on its grid.

    It *is* the student's detector (same class, same state dict) with priors ``ratio`` times as
    large and, after the neck, features rescaled to as many cells as the student has on the small
    image. So prior i of the assistant is ``ratio`` × prior i of the student, one to one. The
    rescale is our reading of AFP (Guo et al., TPAMI 2024, arXiv 2112.09532, whose detection code
    is not released); the place ``neck.afp`` names its output.

    Args:
        detector: Config of the student's detector, as it reads the small image.
        ratio: Side length of the large image over the small one, see :func:`parse_ratio`.
        kernel: Window of the rescale, see :class:`FeatureRescale`.
        data_preprocessor: The detector's on the small image, where its config has none.

    Raises:
        NotImplementedError: If the detector cannot be aligned.
        ValueError: If ``ratio`` or ``kernel`` is none, or the detector has no neck.
    """

    def __new__(
        cls,
        detector: dict | None = None,
        ratio: float | str | Fraction | None = None,
        kernel: str = 'average',
        data_preprocessor: dict | None = None,
    ) -> AFPDetector:
        if detector is None:  # copy.deepcopy makes an empty object of the built model's class
            return super().__new__(cls)
        detector = with_preprocessor(detector, data_preprocessor)
        return put_in_front(cls, MODELS.build(rescale_priors(detector, parse_ratio(ratio))))

    def __init__(
        self,
        detector: dict,
        ratio: float | str | Fraction,
        kernel: str = 'average',
        data_preprocessor: dict | None = None,
    ) -> None:
        if not self.with_neck:
            raise ValueError(f'AFP of {detector["type"]!r}: the detector has no neck')
        if isinstance(self.neck, nn.Sequential):
            put_in_front(_SequentialNeck, self.neck)
        self.neck.afp = FeatureRescale(parse_ratio(ratio), kernel)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Features of the large images (N, 3, H, W), one map a level with the student's cells."""
        feats = super().extract_feat(batch_inputs)
        height, width = batch_inputs.shape[-2:]
        sizes = [
            (ceil(height / stride_h), ceil(width / stride_w))
            for stride_w, stride_h in self.bbox_head.prior_generator.strides
        ]
        return self.neck.afp(feats, sizes)


class _SequentialNeck:
    """Necks that run one after the other; the rescale, which takes the sizes too, is not one."""

    def __iter__(self) -> Iterator[nn.Module]:
        return (module for module in super().__iter__() if not isinstance(module, FeatureRescale))


def rescale_detector(
    model_cfg: dict, ratio: float | str | Fraction, kernel: str = 'average'
) -> ConfigDict:
    """From a student's model config to its assistant's, which reads the large image.

    Args:
        model_cfg: Config of the student's detector; not changed.
        ratio: Side length of the large image over the small one, see :func:`parse_ratio`.
        kernel: Window of the features' rescale, see :class:`FeatureRescale`.

    Returns:
        A config that ``mmdet.registry.MODELS`` builds, see :class:`AFPDetector`.

    Raises:
        NotImplementedError: If the detector cannot be aligned.
        ValueError: If ``ratio`` or ``kernel`` is none.
    """
    ratio = parse_ratio(ratio)
    FeatureRescale(ratio, kernel)
    rescale_priors(model_cfg, ratio)
    return ConfigDict(type='AFPDetector', detector=model_cfg, ratio=str(ratio), kernel=kernel)
