from fractions import Fraction

import numpy as np
import pytest

from pd_mmdet.ratio import parse_enlarge, parse_ratio, side_multiple


@pytest.mark.parametrize(
    ('value', 'ratio'),
    [
        (2, Fraction(2)),
        (4.0, Fraction(4)),
        (1.5, Fraction(3, 2)),
        (np.float32(1.25), Fraction(5, 4)),
        (4 / 3, Fraction(4, 3)),
        (7 / 3, Fraction(7, 3)),
        ('3/2', Fraction(3, 2)),
        ('6/4', Fraction(3, 2)),
        ('1.75', Fraction(7, 4)),
        (Fraction(5, 3), Fraction(5, 3)),
    ],
)
def test_reads_fractions_exactly(value, ratio):
    assert parse_ratio(value) == ratio


@pytest.mark.parametrize(
    'value', [1, 0, -2, 0.5, 1.2, 1.3333, '1.3333', '6/5', '2:1', '', '3/0', 'inf', float('nan')]
)
def test_refuses_a_value_that_is_no_such_fraction(value):
    with pytest.raises(ValueError, match=r'ratio must be a fraction p/q larger than 1') as error:
        parse_ratio(value)
    assert repr(value) in str(error.value)


@pytest.mark.parametrize('value', [None, True, (3, 2), 2j])
def test_refuses_what_is_no_number(value):
    with pytest.raises(TypeError, match='ratio must be'):
        parse_ratio(value)


@pytest.mark.parametrize('value', [1, 1.0, '4/4', 2])
def test_views_may_have_equal_sizes(value):
    assert parse_ratio(value, allow_one=True) == Fraction(value)


@pytest.mark.parametrize('value', [0.75, '0', -1, 1.2])
def test_views_have_no_smaller_ratio(value):
    with pytest.raises(ValueError, match='views must be a fraction p/q of at least 1 with q <= 4'):
        parse_ratio(value, 'views', allow_one=True)


@pytest.mark.parametrize(
    ('enlarge', 'ratio', 'expected'),
    [(1, '3/2', 1), (2, 2, 2), ('8/3', 4, Fraction(8, 3)), (8 / 3, 4, Fraction(8, 3))],
)
def test_enlarge_is_read_exactly(enlarge, ratio, expected):
    assert parse_enlarge(enlarge, Fraction(ratio)) == expected


@pytest.mark.parametrize(
    ('enlarge', 'ratio', 'message'),
    [
        (3, 2, 'enlarge=3 with ratio=2: ratio / enlarge = 2/3, .* such as 1 or 2$'),
        ('5/4', 2, 'enlarge=5/4 with ratio=2: ratio / enlarge = 8/5, .* q <= 4'),
        (0.5, 2, 'enlarge must be a fraction p/q of at least 1 .* got 0.5'),
        (1.2, 2, 'enlarge must be .* q <= 4.* got 1.2'),
        ('2:1', 2, "enlarge must be .* got '2:1'"),
    ],
)
def test_an_enlarge_that_leaves_no_ratio_is_refused(enlarge, ratio, message):
    with pytest.raises(ValueError, match=message):
        parse_enlarge(enlarge, Fraction(ratio))


def test_an_enlarge_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match='enlarge must be'):
        parse_enlarge(None, Fraction(2))


@pytest.mark.parametrize('ratio', ['5/4', '3/2', 2, '7/3', 3, 4])
@pytest.mark.parametrize('enlarge', [1, '5/4', '4/3', '3/2', 2, '8/3', 3])
def test_multiples_of_a_side_have_whole_small_sides(ratio, enlarge):
    ratio, enlarge = Fraction(ratio), Fraction(enlarge)
    views = ratio / enlarge
    whole = [n for n in range(1, 500) if (n / ratio).denominator == (n / views).denominator == 1]
    assert side_multiple(ratio, enlarge) == whole[0]
