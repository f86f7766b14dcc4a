"""Degradations of a poor camera: blur, noise and JPEG compression."""

from collections.abc import Callable, Sequence
from types import ModuleType

import cv2
import numpy as np

Random = ModuleType | np.random.RandomState
"""The module ``numpy.random``, or a generator with a seed."""

JPEG_CHANNELS = ((), (1,), (3,))
"""Shapes, without height and width, of the images that JPEG can store."""


class Degradation:
    """Blur, downsample, add noise and compress, in the order of a real camera.

    Each argument is a number, or a range (low, high) from which it is drawn for every image.

    Args:
        blur: Standard deviation of the Gaussian blur in pixels of the large image, 0 or more;
            0: no blur.
        noise: Standard deviation of the Gaussian noise in values of the image (0 to 255 for uint8,
            0 to 65535 for uint16, …), 0 or more; 0: no noise. Images of an integer type are
            rounded and clipped to its range.
        jpeg: Quality of JPEG compression, a whole number from 1 to 100; None: no compression. It
            needs 8-bit images, see :func:`is_8_bit`, with one or three channels.

    Raises:
        ValueError: A number is out of its range, or a range is not (low, high).
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
        """Degrade an image.

        Args:
            img: The large image, (H, W) or (H, W, C).
            downsample: Makes the small image.
            random: Source of random numbers.

        Returns:
            The small image, of the same dtype.

        Raises:
            ValueError: ``jpeg`` is set, but JPEG cannot store the image.
        """
        if self.jpeg is not None:
            _check_jpeg(img)
        sigma = random.uniform(*self.blur)
        if sigma > 0:
            img = like(img, cv2.GaussianBlur(img, (0, 0), sigma))
        img = downsample(img)
        noise = random.uniform(*self.noise)
        if noise > 0:
            img = to_dtype(img + random.normal(0, noise, img.shape), img.dtype)
        if self.jpeg is not None:
            low, high = self.jpeg
            img = _jpeg(img, random.randint(int(low), int(high) + 1))
        return img

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(blur={self.blur}, noise={self.noise}, jpeg={self.jpeg})'


def _range(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    low_high = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(low_high) != 2 or not 0 <= low_high[0] <= low_high[1] < float('inf'):
        raise ValueError(
            f'degradation {name} must be a number >= 0 or a range (low, high) of such numbers; '
            f'got {value!r}'
        )
    return low_high[0], low_high[1]


def _check_jpeg(img: np.ndarray) -> None:
    if not is_8_bit(img) or img.shape[2:] not in JPEG_CHANNELS:
        raise ValueError(
            'degradation jpeg: JPEG stores 8-bit values in one or three channels; got an image '
            f'of {img.dtype}, shape {img.shape} and values from {img.min()} to {img.max()}. '
            'Remove jpeg'
        )


def _jpeg(img: np.ndarray, quality: int) -> np.ndarray:
    levels = to_dtype(img, np.uint8)
    _, code = cv2.imencode('.jpg', levels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    decoded = cv2.imdecode(code, cv2.IMREAD_UNCHANGED)
    assert decoded is not None  # OpenCV reads what it wrote
    return like(img, decoded).astype(img.dtype)


def is_8_bit(img: np.ndarray) -> bool:
    """Tell whether the values of an image are those of an 8-bit image, 0 to 255.

    A photometric transform may have made floats of an 8-bit image, and they may be a little out of
    this range. Floats are not 8-bit values if all are in [0, 1], or one is above 2 · 255.
    """
    if not np.issubdtype(img.dtype, np.floating):
        return img.dtype == np.uint8
    low, high = img.min(), img.max()
    # The values of a black 8-bit image are in [0, 1], too, but they are whole numbers.
    unit = low >= 0 and high <= 1 and (img % 1).any()
    return not unit and high <= 2 * 255


def to_dtype(img: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Convert an image to another dtype; for an integer type, round and clip it first."""
    if np.issubdtype(dtype, np.integer):
        levels = np.iinfo(dtype)
        img = np.clip(np.rint(img), levels.min, levels.max)
    return img.astype(dtype)


def like(img: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Restore the last dimension of an image with one channel, which OpenCV has dropped.

    Args:
        img: The image before OpenCV's operation.
        changed: The result of the operation.
    """
    return changed.reshape(*changed.shape[:2], *img.shape[2:])
