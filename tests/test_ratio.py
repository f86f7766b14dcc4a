from fractions import Fraction

import numpy as np
import pytest

from pd_mmdet.ratio import parse_ratio


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
