"""Conversion of images for display, and saving of pictures without raising errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

GREY = 2
"""Images with at most this number of channels are shown in grey, by their first channel."""


def to_display(image: Tensor, bgr: bool = True) -> np.ndarray:
    """Convert an image to 8-bit RGB for display.

    An image with one or two channels is shown in grey, by its first channel; an image with more
    channels is shown in colour, by its first three. uint8 values stay as they are. Other values
    are scaled so that the smallest becomes 0 and the largest 255, because their range is unknown.
    To compare several images, put them side by side first, so that all are scaled alike.

    Args:
        image: (C, H, W), with any number of channels, of any type.
        bgr: True: the first channel is blue, as OpenCV reads files. False: it is red.

    Returns:
        (H, W, 3), RGB, uint8.
    """
    shown = image[:1].expand(3, -1, -1) if len(image) <= GREY else image[:3]
    if shown.dtype != torch.uint8:
        shown = shown.double()
        least, greatest = shown.aminmax()
        # An image with equal values everywhere becomes black.
        scale = 255 / (greatest - least) if greatest > least else 0
        shown = ((shown - least) * scale).round().byte()
    if len(image) > GREY and bgr:
        shown = shown.flip(0)
    return shown.permute(1, 2, 0).cpu().contiguous().numpy()


def save_picture(draw: Callable[[], Figure], path: Path) -> bool:
    """Draw a picture and save it. An error is only printed to stderr.

    A picture shows results that are saved already, so a failure must not stop the program.

    Args:
        draw: Makes the picture.
        path: The file.

    Returns:
        True if the file was written.
    """
    try:
        draw().savefig(path)
    except Exception as error:
        reason = f'{type(error).__name__}: {error}'
        print(f'warning: {path} could not be drawn ({reason})', file=sys.stderr, flush=True)
        return False
    return True
