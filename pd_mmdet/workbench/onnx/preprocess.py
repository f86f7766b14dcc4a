"""Turn images as a camera gives them into what a network reads."""

from __future__ import annotations

from fractions import Fraction

from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad


class Preprocess(nn.Module):
    """Enlarge, bring channels into order, normalise and pad, as pipeline and preprocessor do.

    Args:
        preprocessor: The data preprocessor of the student.
        enlarge: How many times larger the student reads the image.
        repeat: Whether the one channel of a grey camera is repeated to three.
    """

    def __init__(
        self, preprocessor: BaseDataPreprocessor, enlarge: Fraction, repeat: bool = False
    ) -> None:
        super().__init__()
        # MMDetection's name, and MMPretrain's.
        name = '_channel_conversion' if isinstance(preprocessor, ImgDataPreprocessor) else 'to_rgb'
        self.swaps = getattr(preprocessor, name)
        self.normalises = preprocessor._enable_normalize
        if self.normalises:
            self.register_buffer('mean', preprocessor.mean.clone())
            self.register_buffer('std', preprocessor.std.clone())
        self.divisor = preprocessor.pad_size_divisor
        self.pad_value = preprocessor.pad_value
        self.enlarge = enlarge
        self.repeat = repeat

    def enlarged(self, side: int) -> int:
        """Return the length in pixels that a side of the small image has when it is enlarged."""
        return side * self.enlarge.numerator // self.enlarge.denominator

    def forward(self, image: Tensor) -> Tensor:
        """Prepare a batch.

        Args:
            image: (N, H, W, C), uint8.

        Returns:
            (N, C, H', W'), float32; enlarged, and padded at the right and bottom.
        """
        x = image.permute(0, 3, 1, 2).float()
        if self.repeat:
            x = x.expand(-1, 3, -1, -1)
        height, width = (self.enlarged(side) for side in image.shape[1:3])
        if self.enlarge != 1:
            x = enlarge_bytes(x, (height, width))
        if self.swaps:
            x = x.flip(1)
        if self.normalises:
            x = (x - self.mean) / self.std
        right, bottom = (self._padded(side) - side for side in (width, height))
        return pad(x, (0, right, 0, bottom), value=self.pad_value)

    def _padded(self, side: int) -> int:
        # Written so that the exporter sees a multiple of the divisor.
        return (side + self.divisor - 1) // self.divisor * self.divisor


def enlarge_bytes(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge images as ``LowResolution`` and ``Resize`` do, from bytes to bytes.

    OpenCV rounds in the middle of its sums, so that one byte in ten differs by 1.

    Args:
        images: (N, C, H, W), float32, of whole numbers.
        size: Height and width of the result.
    """
    return interpolate(images, size=size, mode='bilinear').round()
