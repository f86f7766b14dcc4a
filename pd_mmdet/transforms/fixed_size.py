"""Crops to a fixed size that the ratio must divide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import takewhile
from numbers import Integral
from typing import Any

from ..pixel_options import fixed_side, type_name
from ..ratio import parse_ratio


def check_fixed_size(pipeline: Iterable, ratio: int | float | str | Fraction) -> None:
    """Refuse a crop to a size that the ratio does not divide.

    ``LowResolution`` would pad it, so that a network made for one size of image reads another.

    Args:
        pipeline: Configs of transforms, or transforms. Those inside of others, and those after
            ``LowResolution``, are not looked at.
        ratio: Side of the large image over the small one, see :func:`parse_ratio`.

    Raises:
        ValueError: The last transform that resizes fixes sides that are no multiples of p, where
            the ratio is p/q.
    """
    ratio = parse_ratio(ratio)
    large = takewhile(lambda transform: type_name(transform) != 'LowResolution', pipeline)
    last = None
    for transform in large:
        name = type_name(transform)
        if fixed_side(name) or 'Resize' in name:
            last = transform
    sides, p = _fixed_sides(last), ratio.numerator
    if any(side % p for side in sides):
        name, (below, above) = type_name(last), _nearest(sides, p)
        option = fixed_side(name) or ''
        raise ValueError(
            f'{name}({option}={_option(last, option)}): at ratio {ratio} the sides of the large '
            f'image must be multiples of {p}; the nearest are {option}={below} and {above}'
        )


def _fixed_sides(transform: Any) -> tuple[int, ...]:
    """Return the sides that a transform gives every image, in pixels; () if they differ."""
    size = _option(transform, fixed_side(type_name(transform)) or '')
    sides = (size,) if isinstance(size, Integral) else tuple(size or ())
    # A RandomCrop's may be relative.
    whole = all(isinstance(side, Integral) for side in sides)
    return sides if whole and not _option(transform, 'keep_ratio') else ()


def _nearest(sides: tuple[int, ...], p: int) -> Iterable[int | tuple[int, ...]]:
    """Return the nearest multiples of p below and above, one number where all are equal."""
    below = tuple(max(side // p, 1) * p for side in sides)
    above = tuple(-(-side // p) * p for side in sides)
    return (sides[0] if len(set(sides)) == 1 else sides for sides in (below, above))


def _option(transform: Any, option: str) -> Any:
    if isinstance(transform, Mapping):
        return transform.get(option)
    return getattr(transform, option, None)
