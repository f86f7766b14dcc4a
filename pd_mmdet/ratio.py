"""The ratio k: side length of the large image over that of the small image."""

import math
from fractions import Fraction
from numbers import Real

MAX_DENOMINATOR = 4


def parse_ratio(
    value: int | float | str | Fraction, option: str = 'ratio', allow_one: bool = False
) -> Fraction:
    """Read a ratio as an exact fraction.

    Args:
        value: Side length of the large image over the small one, as a number (2, 1.5) or a
            string ('2', '1.5', '3/2').
        option: Name of the option, for the message.
        allow_one: Also allow the ratio 1, of two images of equal size.

    Returns:
        p/q in lowest terms, larger than 1 (or at least 1), with q at most 4.

    Raises:
        TypeError: The value is neither a number nor a string.
        ValueError: The value is not a fraction, or is too small, or its denominator is above 4.
    """
    least = 'of at least 1' if allow_one else 'larger than 1'
    wanted = f'a fraction p/q {least} with q <= {MAX_DENOMINATOR}, such as 2, 1.5 or "4/3"'
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        raise TypeError(f'{option} must be {wanted}; got {value!r} of type {type(value).__name__}')
    try:
        exact = Fraction(value) if isinstance(value, (str, Fraction)) else _fraction(float(value))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(f'{option} must be {wanted}; got {value!r}') from None
    too_small = exact < 1 if allow_one else exact <= 1
    if too_small or exact.denominator > MAX_DENOMINATOR:
        raise ValueError(f'{option} must be {wanted}; got {value!r}')
    return exact


def parse_enlarge(value: int | float | str | Fraction, ratio: Fraction) -> Fraction:
    """Read how many times as large the small image is made again, as an exact fraction.

    Args:
        value: As for :func:`parse_ratio`, 1 included.
        ratio: Side length of the large image over the small one.

    Returns:
        p/q in lowest terms; ratio / (p/q) is the ratio of the views that the networks read.

    Raises:
        TypeError: The value is neither a number nor a string.
        ValueError: The value, or the ratio of the views, is not a fraction of at least 1 with a
            denominator of at most 4.
    """
    enlarge = parse_ratio(value, 'enlarge', allow_one=True)
    views = ratio / enlarge
    if views < 1 or views.denominator > MAX_DENOMINATOR:
        raise ValueError(
            f'enlarge={enlarge} with ratio={ratio}: ratio / enlarge = {views}, the ratio of the '
            f'views, must be a fraction p/q of at least 1 with q <= {MAX_DENOMINATOR}; take an '
            f'enlarge such as 1 or {ratio}'
        )
    return enlarge


def side_multiple(ratio: Fraction, enlarge: Fraction) -> int:
    """Return a number whose multiples, as sides of the large image, leave no part of a pixel.

    Args:
        ratio: Side length of the large image over the small one.
        enlarge: Side length of the view that is read over that of the small image.

    Returns:
        The least number whose multiples both ratio and ratio / enlarge divide to whole sides.
    """
    return math.lcm(ratio.numerator, (ratio / enlarge).numerator)


def _fraction(value: float) -> Fraction:
    """Return the fraction that a float stands for: the float nearest to 4/3 stands for 4/3."""
    if not math.isfinite(value):
        raise ValueError
    near = Fraction(value).limit_denominator(MAX_DENOMINATOR)
    return near if float(near) == value else Fraction(value)
