"""The ratio k: side length of the large image over that of the small image."""

import math
from fractions import Fraction
from numbers import Real

MAX_DENOMINATOR = 4


def parse_ratio(value: int | float | str | Fraction) -> Fraction:
    """Read a ratio as an exact fraction.

    Args:
        value: Side length of the large image over the small one, as a number (2, 1.5) or a
            string ('2', '1.5', '3/2').

    Returns:
        p/q in lowest terms, larger than 1, with q at most 4.

    Raises:
        TypeError: The value is neither a number nor a string.
        ValueError: The value is not a fraction, or is at most 1, or its denominator is above 4.
    """
    wanted = f'a fraction p/q larger than 1 with q <= {MAX_DENOMINATOR}, such as 2, 1.5 or "4/3"'
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        raise TypeError(f'ratio must be {wanted}; got {value!r} of type {type(value).__name__}')
    try:
        exact = Fraction(value) if isinstance(value, (str, Fraction)) else _fraction(float(value))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(f'ratio must be {wanted}; got {value!r}') from None
    if exact <= 1 or exact.denominator > MAX_DENOMINATOR:
        raise ValueError(f'ratio must be {wanted}; got {value!r}')
    return exact


def _fraction(value: float) -> Fraction:
    """Return the fraction that a float stands for: the float nearest to 4/3 stands for 4/3."""
    if not math.isfinite(value):
        raise ValueError
    near = Fraction(value).limit_denominator(MAX_DENOMINATOR)
    return near if float(near) == value else Fraction(value)
