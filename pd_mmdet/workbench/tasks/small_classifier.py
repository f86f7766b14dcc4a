"""Change a classifier's config for small images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from inspect import signature
from typing import Any

from mmpretrain.registry import MODELS

from ...pixel_options import round_nearest, scale_length
from ..config_text import Remark
from .small_detector import unfrozen


def small_classifier(model: dict, ratio: Fraction) -> dict[str, Any]:
    """Return the changes to a classifier's config for small images.

    The backbone is unfrozen; a backbone for images of one size becomes one for the small image.

    Args:
        model: The classifier's config for the large image. Not changed.
        ratio: Side of the large image over the small one.

    Returns:
        Values that a config which inherits this one sets, with remarks for its text.

    Raises:
        ValueError: The ratio does not divide the size of the backbone's images.
    """
    backbone = model.get('backbone', {})
    options = _options(backbone)
    changes = unfrozen(backbone)
    if options.get('img_size'):
        changes['img_size'] = _small_image(options['img_size'], ratio)
    if options.get('pad_small_map') is False:
        changes['windows'] = Remark('The last maps may be smaller than a window.')
        changes['pad_small_map'] = True
    return dict(backbone=changes) if changes else {}


def _options(backbone: dict) -> dict[str, Any]:
    """Return the options of a backbone, with the defaults of its classes."""
    options: dict[str, Any] = {}
    for base in reversed(getattr(MODELS.get(backbone.get('type', '')), '__mro__', ())):
        parameters = signature(base).parameters if '__init__' in vars(base) else {}
        options |= {name: parameter.default for name, parameter in parameters.items()}
    return options | backbone


def _small_image(size: int | Sequence[int], ratio: Fraction) -> int | Sequence[int]:
    sides = size if isinstance(size, Sequence) else [size]
    if any(side % ratio.numerator for side in sides):
        raise ValueError(
            f'backbone.img_size={size!r} must be a multiple of {ratio.numerator}, so that the '
            f'small image has whole pixels at ratio {ratio}'
        )
    return scale_length(size, 1 / ratio, round_nearest)
