"""What a poor camera does to an image besides making it small."""

from collections.abc import Callable, Sequence
from numbers import Real
from types import ModuleType

import cv2
import numpy as np

Random = ModuleType | np.random.RandomState
"""``numpy.random`` itself or a generator of its own."""


class Degradation:
    """Blur, downsample, add noise and compress, in the order of a real camera.

    Each strength is a number, or a (low, high) range from which it is drawn for every image.

    Args:
        blur: standard deviation of a Gaussian, in pixels of the large image; 0 is none.
        noise: standard deviation of Gaussian noise, in grey levels; 0 is none.
        jpeg: quality of JPEG compression, a whole number from 1 to 100; None is none.

    Raises:
        ValueError: a strength is out of its range, or a range is not (low, high).
    """

    def __init__(
        self,
        blur: float | Sequence[float] = 0,
        noise: float | Sequence[float] = 0,
        jpeg: int | Sequence[int] | None = None,
    ) -> None:
        self.blur = _range('blur', blur)
        self.noise = _range('noise', noise)
        self.jpeg = None if jpeg is None else _range('jpeg', jpeg)
        if self.jpeg and not all(1 <= quality <= 100 and quality % 1 == 0 for quality in self.jpeg):
            raise ValueError(f'degradation jpeg must be whole numbers from 1 to 100; got {jpeg!r}')

    def __call__(
        self, img: np.ndarray, downsample: Callable[[np.ndarray], np.ndarray], random: Random
    ) -> np.ndarray:
        """Degrade ``img``, grey levels of 0 to 255, (H, W) or (H, W, 3); its dtype is kept."""
        sigma = random.uniform(*self.blur)
        if sigma > 0:
            img = cv2.GaussianBlur(img, (0, 0), sigma)
        img = downsample(img)
        noise = random.uniform(*self.noise)
        if noise > 0:
            img = _grey_levels(img + random.normal(0, noise, img.shape)).astype(img.dtype)
        if self.jpeg is not None:
            low, high = self.jpeg
            img = _jpeg(img, random.randint(int(low), int(high) + 1)).astype(img.dtype)
        return img

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(blur={self.blur}, noise={self.noise}, jpeg={self.jpeg})'


def _range(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    low_high = (value, value) if isinstance(value, Real) else tuple(value)
    if len(low_high) != 2 or not 0 <= low_high[0] <= low_high[1] < float('inf'):
        raise ValueError(
            f'degradation {name} must be a number >= 0 or a range (low, high) of such; '
            f'got {value!r}'
        )
    return low_high


def _grey_levels(img: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)


def _jpeg(img: np.ndarray, quality: int) -> np.ndarray:
    _, code = cv2.imencode('.jpg', _grey_levels(img), (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cv2.imdecode(code, cv2.IMREAD_UNCHANGED)
