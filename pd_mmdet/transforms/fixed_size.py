"""Check that the ratio divides the fixed size to which a pipeline resizes its images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import takewhile
from numbers import Integral
from typing import Any

from ..pixel_options import fixed_side, type_name
from ..ratio import parse_enlarge, parse_ratio, side_multiple


def check_fixed_size(
    pipeline: Iterable,
    ratio: int | float | str | Fraction,
    enlarge: int | float | str | Fraction = 1,
) -> None:
    """Refuse a pipeline that resizes or crops to a fixed size that the ratio does not divide.

    ``LowResolution`` would pad such an image, and a network made for the fixed size would read
    another size.

    Args:
        pipeline: Transforms, or their configs. Nested transforms, and those after
            ``LowResolution``, are ignored.
        ratio: p/q, side length of the large image over the small one, see :func:`parse_ratio`.
        enlarge: How many times as large the small image is made again, see
            :class:`LowResolution`.

    Raises:
        ValueError: The last transform that resizes or crops fixes a side that is not a multiple of
            p; with ``enlarge``, of what gives both sizes whole sides.
    """
    ratio = parse_ratio(ratio, allow_one=True)
    enlarge = parse_enlarge(enlarge, ratio)
    large = takewhile(lambda transform: type_name(transform) != 'LowResolution', pipeline)
    last = None
    for transform in large:
        name = type_name(transform)
        if fixed_side(name) or 'Resize' in name:
            last = transform
    sides, p = _fixed_sides(last), side_multiple(ratio, enlarge)
    if any(side % p for side in sides):
        name, (below, above) = type_name(last), _nearest(sides, p)
        option = fixed_side(name) or ''
        enlarged = '' if enlarge == 1 else f' and enlarge {enlarge}'
        raise ValueError(
            f'{name}({option}={_option(last, option)}): at ratio {ratio}{enlarged} the sides of '
            f'the large image must be multiples of {p}; the nearest are {option}={below} and '
            f'{above}'
        )


def _fixed_sides(transform: Any) -> tuple[int, ...]:
    """Return the sides in pixels that all images have after a transform; () if they differ."""
    size = _option(transform, fixed_side(type_name(transform)) or '')
    sides = (size,) if isinstance(size, Integral) else tuple(size or ())
    # The size of a RandomCrop may be relative.
    whole = all(isinstance(side, Integral) for side in sides)
    return sides if whole and not _option(transform, 'keep_ratio') else ()


def _nearest(sides: tuple[int, ...], p: int) -> Iterable[int | tuple[int, ...]]:
    """Return the nearest multiples of p below and above; one number each if all sides are equal."""
    below = tuple(max(side // p, 1) * p for side in sides)
    above = tuple(-(-side // p) * p for side in sides)
    return (sides[0] if len(set(sides)) == 1 else sides for sides in (below, above))


def _option(transform: Any, option: str) -> Any:
    if isinstance(transform, Mapping):
        return transform.get(option)
    return getattr(transform, option, None)
