"""What a poor camera does to an image besides making it small."""

from collections.abc import Callable, Sequence
from types import ModuleType

import cv2
import numpy as np

Random = ModuleType | np.random.RandomState
"""``numpy.random`` itself or a generator of its own."""

JPEG_CHANNELS = ((), (1,), (3,))
"""What follows height and width in the shape of an image that JPEG can hold."""


class Degradation:
    """Blur, downsample, add noise and compress, in the order of a real camera.

    Each strength is a number, or a (low, high) range from which it is drawn for every image.

    Args:
        blur: standard deviation of a Gaussian, in pixels of the large image; 0 is none.
        noise: standard deviation of Gaussian noise, in the values that the image has (of the 256
            levels of a uint8, the 65536 of a uint16, …); 0 is none. Whole numbers are rounded and
            kept in the range of their dtype, floats stay as they are.
        jpeg: quality of JPEG compression, a whole number from 1 to 100; None is none. For images
            of 8 bits, see :func:`is_8_bit`, with one or three channels.

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
        """Degrade ``img``, (H, W) or (H, W, C); its dtype is kept.

        Raises:
            ValueError: ``jpeg`` is set, but JPEG cannot hold the image.
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
            f'degradation {name} must be a number >= 0 or a range (low, high) of such; '
            f'got {value!r}'
        )
    return low_high[0], low_high[1]


def _check_jpeg(img: np.ndarray) -> None:
    if not is_8_bit(img) or img.shape[2:] not in JPEG_CHANNELS:
        raise ValueError(
            'degradation jpeg: JPEG holds 8 bits a value and one or three channels; got an image '
            f'of {img.dtype}, shape {img.shape} and values from {img.min()} to {img.max()}. '
            'Leave jpeg out'
        )


def _jpeg(img: np.ndarray, quality: int) -> np.ndarray:
    levels = to_dtype(img, np.uint8)
    _, code = cv2.imencode('.jpg', levels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    decoded = cv2.imdecode(code, cv2.IMREAD_UNCHANGED)
    assert decoded is not None  # OpenCV reads what it wrote
    return like(img, decoded).astype(img.dtype)


def is_8_bit(img: np.ndarray) -> bool:
    """Whether an image has the values of one of 8 bits, 0 to 255.

    Floats may be what a photometric transform made of such an image, so they may leave the range.
    They are no such image if all are in [0, 1] or one is beyond twice the range.
    """
    if not np.issubdtype(img.dtype, np.floating):
        return img.dtype == np.uint8
    low, high = img.min(), img.max()
    # In a black image of 8 bits all are in [0, 1], too, but whole.
    unit = low >= 0 and high <= 1 and (img % 1).any()
    return not unit and high <= 2 * 255


def to_dtype(img: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """The image in another dtype: rounded and clipped where that is one of whole numbers."""
    if np.issubdtype(dtype, np.integer):
        levels = np.iinfo(dtype)
        img = np.clip(np.rint(img), levels.min, levels.max)
    return img.astype(dtype)


def like(img: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """What OpenCV made of an image, with the image's last dimension: it drops one of a channel."""
    return changed.reshape(*changed.shape[:2], *img.shape[2:])
