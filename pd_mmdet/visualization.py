"""Images of any kind as pictures, and pictures that may fail without harm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

GREY = 2
"""Images of so many channels or less have no colours: their first channel is shown."""


def to_display(image: Tensor, bgr: bool = True) -> np.ndarray:
    """Make of an image what a screen shows.

    Of one or two channels the first is shown in grey, of more the first three as colours. Values
    of 8 bit stay as they are; others are spread over 0 to 255, the least shown to the greatest, as
    nothing says what they are measured in. Images that are to be compared are put side by side
    first, so that they are spread alike.

    Args:
        image: (C, H, W), of any number of channels and any type.
        bgr: Whether blue comes first, as OpenCV reads files, or red.

    Returns:
        (H, W, 3), red first, of 8 bit.
    """
    shown = image[:1].expand(3, -1, -1) if len(image) <= GREY else image[:3]
    if shown.dtype != torch.uint8:
        shown = shown.double()
        least, greatest = shown.aminmax()
        # An image of one value is black: nothing can be told apart in it.
        scale = 255 / (greatest - least) if greatest > least else 0
        shown = ((shown - least) * scale).round().byte()
    if len(image) > GREY and bgr:
        shown = shown.flip(0)
    return shown.permute(1, 2, 0).cpu().contiguous().numpy()


def save_picture(draw: Callable[[], Figure], path: Path) -> bool:
    """Write a picture of results that are written already.

    Whatever hinders it is said on stderr, and is no reason to end what went well.

    Args:
        draw: Makes the picture.
        path: The file.

    Returns:
        Whether it was written.
    """
    try:
        draw().savefig(path)
    except Exception as error:
        reason = f'{type(error).__name__}: {error}'
        print(f'warning: {path} could not be drawn ({reason})', file=sys.stderr, flush=True)
        return False
    return True
