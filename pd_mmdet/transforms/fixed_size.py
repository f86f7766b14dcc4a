"""Crops to a fixed size that the ratio must divide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import takewhile
from numbers import Integral
from typing import Any

from ..ratio import parse_ratio

_SIZES = {
    'CenterCrop': 'crop_size',
    'EfficientNetCenterCrop': 'crop_size',
    'EfficientNetRandomCrop': 'scale',
    'Pad': 'size',
    'RandomCrop': 'crop_size',
    'RandomResizedCrop': 'scale',
    'Resize': 'scale',
}
"""The option by which a transform fixes the sides of the image, in pixels."""


def check_fixed_size(pipeline: Iterable, ratio: int | float | str | Fraction) -> None:
    """Refuse a crop to a size that the ratio does not divide.

    ``LowResolution`` would pad it, so that a network made for one size of image reads another.

    Args:
        pipeline: configs of transforms, or transforms; not looked at are those inside of others,
            and those after ``LowResolution``, if it is among them.
        ratio: side of the large image over the small one, see :func:`parse_ratio`.

    Raises:
        ValueError: the last transform that resizes fixes sides that are no multiples of p, where
            the ratio is p/q.
    """
    ratio = parse_ratio(ratio)
    large = takewhile(lambda transform: transform_name(transform) != 'LowResolution', pipeline)
    last = None
    for transform in large:
        name = transform_name(transform)
        if name in _SIZES or 'Resize' in name:
            last = transform
    sides, p = _fixed_sides(last), ratio.numerator
    if any(side % p for side in sides):
        name, (below, above) = transform_name(last), _nearest(sides, p)
        option = _SIZES[name]
        raise ValueError(
            f'{name}({option}={_option(last, option)}): at ratio {ratio} the sides of the large '
            f'image must be multiples of {p}; the nearest are {option}={below} and {above}'
        )


def _fixed_sides(transform: Any) -> tuple[int, ...]:
    """The sides that a transform gives every image, in pixels; none where they depend on it."""
    size = _option(transform, _SIZES.get(transform_name(transform), ''))
    sides = (size,) if isinstance(size, Integral) else tuple(size or ())
    # A RandomCrop's may be relative.
    whole = all(isinstance(side, Integral) for side in sides)
    return sides if whole and not _option(transform, 'keep_ratio') else ()


def _nearest(sides: tuple[int, ...], p: int) -> Iterable[int | tuple[int, ...]]:
    below = tuple(max(side // p, 1) * p for side in sides)
    above = tuple(-(-side // p) * p for side in sides)
    return (both[0] if len(set(both)) == 1 else both for both in (below, above))


def transform_name(transform: Any) -> str:
    """The name of a transform's class, be it built or a config: 'Resize' of 'mmdet.Resize', too."""
    kind = transform['type'] if isinstance(transform, Mapping) else type(transform)
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def _option(transform: Any, option: str) -> Any:
    if isinstance(transform, Mapping):
        return transform.get(option)
    return getattr(transform, option, None)
