"""The options of configs that are lengths on the image, in pixels, and how they are scaled.

An image that is ``factor`` times as large needs each of them ``factor`` times as large: 1/k for the
small image of ratio k, k for the large image of an assistant. Everything else stays: factors
(``scale_factor``, ``ratio_range``, a relative crop), and multiples (``size_divisor``), which follow
from the strides of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from numbers import Real
from typing import Any, NamedTuple

from mmengine.utils import apply_to


def round_up(length: float, factor: Fraction) -> int:
    """Scale to whole pixels, away from 0, as ``LowResolution`` does: it pads the large image.

    Returns:
        A multiple of the factor's numerator.
    """
    whole = int(-(-abs(length) // factor.denominator)) * factor.numerator
    return whole if length >= 0 else -whole


def round_nearest(length: float, factor: Fraction) -> int:
    """Scale to the nearest whole number of pixels."""
    return round(length * factor)


def fraction(length: float, factor: Fraction) -> float:
    """Scale without rounding."""
    return length / float(1 / factor)


class Length(NamedTuple):
    """An option that is a length, or lengths in lists and tuples.

    Args:
        scale: Multiplies a length by a factor and rounds it.
        default: Its value where a config leaves it out; None: then nothing is scaled.
        fixes_image: Whether it fixes the sides of the image: all images are as large afterwards.
    """

    scale: Callable[[float, Fraction], Any] = round_up
    default: Any = None
    fixes_image: bool = False


_LENGTH = Length()
_IMAGE = Length(fixes_image=True)
_FRACTION = Length(fraction)
_IMG_SCALE = dict(img_scale=Length(default=(640, 640)))

TRANSFORMS: dict[str, dict[str, Length]] = {
    'CachedMixUp': _IMG_SCALE,
    'CachedMosaic': _IMG_SCALE,
    'CenterCrop': dict(crop_size=_IMAGE),
    'CutOut': dict(cutout_shape=_LENGTH),
    'Cutout': dict(shape=_LENGTH, magnitude_range=_LENGTH),
    'EfficientNetCenterCrop': dict(crop_size=_IMAGE, crop_padding=Length(default=32)),
    'EfficientNetRandomCrop': dict(scale=_IMAGE, crop_padding=Length(default=32)),
    'FilterAnnotations': dict(min_gt_bbox_wh=_FRACTION),
    'FixScaleResize': dict(scale=_LENGTH),
    'FixShapeResize': dict(width=_LENGTH, height=_LENGTH),
    'GaussianBlur': dict(radius=_FRACTION, magnitude_range=_FRACTION),
    'MixUp': _IMG_SCALE,
    'Mosaic': _IMG_SCALE,
    'MultiScaleFlipAug': dict(scales=_LENGTH),
    'Pad': dict(size=_IMAGE),
    'RandomAffine': dict(border=_LENGTH),
    'RandomCenterCropPad': dict(crop_size=_LENGTH, border=Length(default=128)),
    'RandomChoiceResize': dict(scales=_LENGTH),
    'RandomCrop': dict(crop_size=_IMAGE, padding=_LENGTH),
    'RandomResize': dict(scale=_LENGTH),
    'RandomResizedCrop': dict(scale=_IMAGE),
    'RandomShift': dict(max_shift_px=Length(default=32)),
    'RandomTranslatePad': dict(size=Length(default=640)),
    'Resize': dict(scale=_IMAGE),
    'ResizeEdge': dict(scale=_LENGTH),
    'ResizeShortestEdge': dict(scale=_LENGTH, max_size=_LENGTH),
}
"""The lengths of MMDetection's and MMPretrain's transforms, by type and option."""

BATCH_AUGMENTS = dict(
    random_size_range=Length(round_nearest),
    scale=Length(round_nearest),
    size=_LENGTH,
)
"""The lengths of batch augmentations (``data_preprocessor.batch_augments``), of whatever type."""

BOXINST = dict(
    mask_stride=Length(round_nearest, default=4),
    bottom_pixels_removed=Length(round_nearest, default=10),
)
"""The lengths of BoxInst's data preprocessor."""


def scale_transform(cfg: dict, factor: Fraction) -> dict:
    """Return the config of a transform with its lengths times a factor.

    Args:
        cfg: Config of a transform; those inside of it are not looked at. Not changed.
        factor: Side of the new image over that of the present one.
    """
    if str(cfg.get('crop_type')).startswith('relative'):
        return cfg
    return scale_options(cfg, TRANSFORMS.get(type_name(cfg), {}), factor)


def scale_options(cfg: dict, options: dict[str, Length], factor: Fraction) -> dict:
    """Return a config with some options times a factor.

    Args:
        cfg: Not changed.
        options: Which of its options are lengths, such as ``BATCH_AUGMENTS``.
        factor: Side of the new image over that of the present one.
    """
    values = {name: cfg.get(name, length.default) for name, length in options.items()}
    return cfg | {
        name: scale_length(value, factor, options[name].scale)
        for name, value in values.items()
        if value is not None
    }


def scale_length(value: Any, factor: Fraction, scale: Callable[[float, Fraction], Any]) -> Any:
    """Return a length, or lengths in lists and tuples, times a factor.

    Args:
        value: What is no number stays.
        factor: Side of the new image over that of the present one.
        scale: Multiplies a number by a factor, such as :func:`round_up`.
    """
    return apply_to(value, lambda inner: isinstance(inner, Real), lambda side: scale(side, factor))


def fixed_side(name: str) -> str | None:
    """Return the option by which a type of transform fixes the sides of the image, if any."""
    options = TRANSFORMS.get(name, {})
    return next((option for option, length in options.items() if length.fixes_image), None)


def type_name(part: Any) -> str:
    """Return the class name of a config or of an object, without scope: 'Resize' of 'mmdet.Resize'.

    Args:
        part: A config, whose ``type`` is a name or a class, or what is built of one.
    """
    kind = part['type'] if isinstance(part, Mapping) else type(part)
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]
