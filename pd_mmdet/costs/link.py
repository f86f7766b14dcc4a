"""How many bytes an image has on the link between camera and detector."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from mmengine.dataset import BaseDataset


def bytes_per_image(
    dataset: BaseDataset, jpeg_qualities: Sequence[int], number: int
) -> dict[str, float]:
    """Mean size of encoded images of a dataset, as large as the detector reads them.

    Args:
        dataset: Its items have ``inputs``, (3, H, W) of 0 to 255, blue first.
        jpeg_qualities: From 1 to 100.
        number: How many images are encoded at most, evenly spaced.

    Returns:
        ``png`` and ``jpeg<quality>``, in bytes.
    """
    number = min(number, len(dataset))
    formats = {'png': ('.png', [])} | {
        f'jpeg{quality}': ('.jpg', [cv2.IMWRITE_JPEG_QUALITY, quality])
        for quality in jpeg_qualities
    }
    sizes = dict.fromkeys(formats, 0)
    for index in range(number):
        item = dataset[index * len(dataset) // number]
        image = item['inputs'].permute(1, 2, 0).contiguous().byte().numpy()
        for name, (ending, options) in formats.items():
            encoded = cv2.imencode(ending, image, options)[1]
            sizes[name] += len(encoded)
    return {name: size / number for name, size in sizes.items()}
