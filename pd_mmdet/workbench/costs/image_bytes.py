"""Count the bytes of an encoded image, which the link from the camera to the detector carries."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from mmengine.dataset import BaseDataset

from ...hooks.samples import transforms_of
from ...transforms import LowResolution
from ...transforms.degradation import JPEG_CHANNELS, is_8_bit, to_dtype

PNG_CHANNELS = (*JPEG_CHANNELS, (4,))


def bytes_per_image(
    dataset: BaseDataset, jpeg_qualities: Sequence[int], number: int
) -> dict[str, float | None]:
    """Measure the mean size of encoded images of a dataset, as large as the detector reads them.

    An image that ``LowResolution`` enlarges is encoded as small as it is before: a link carries
    that.

    Args:
        dataset: Its items have ``inputs`` (C, H, W); three channels are BGR.
        jpeg_qualities: Qualities from 1 to 100.
        number: Largest number of images, evenly spaced.

    Returns:
        ``png`` and ``jpeg<quality>``, in bytes; None for a format that cannot encode the images.
        Both encode one or three channels of 8 bits, PNG also four channels and 16 bits.
    """
    dataset = without_enlarging(dataset)
    number = min(number, len(dataset))
    formats = {'png': ('.png', [])} | {
        f'jpeg{quality}': ('.jpg', [cv2.IMWRITE_JPEG_QUALITY, quality])
        for quality in jpeg_qualities
    }
    sizes = {name: [] for name in formats}
    for index in range(number):
        item = dataset[index * len(dataset) // number]
        image = item['inputs'].permute(1, 2, 0).contiguous().numpy()
        for name, (ending, options) in formats.items():
            sizes[name].append(_encoded_size(image, ending, options))
    return {name: None if None in each else sum(each) / number for name, each in sizes.items()}


def without_enlarging(dataset: BaseDataset) -> BaseDataset:
    """Return a copy of a dataset whose small images stay small."""
    dataset = copy.deepcopy(dataset)
    for transform in transforms_of(dataset):
        if isinstance(transform, LowResolution):
            transform.enlarge = Fraction(1)
            transform.min_side = 1  # it is that of the enlarged image
    return dataset


def _encoded_size(image: np.ndarray, ending: str, options: list[int]) -> int | None:
    """Return the bytes of an image (H, W, C) in a format; None if it cannot be encoded."""
    if is_8_bit(image):
        image = to_dtype(image, np.uint8)
    dtypes, channels = (
        ((np.uint8,), JPEG_CHANNELS) if ending == '.jpg' else ((np.uint8, np.uint16), PNG_CHANNELS)
    )
    if image.dtype not in dtypes or image.shape[2:] not in channels:
        return None
    return len(cv2.imencode(ending, image, options)[1])
