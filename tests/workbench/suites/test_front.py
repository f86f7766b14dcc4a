from dataclasses import replace
from pathlib import Path

import pytest

from pd_mmdet.workbench.suites.front import (
    front_figure,
    front_of,
    front_table,
    points_of,
    spread_out,
)
from tests.helpers.suite_records import PART, SUITE, records, two_sets

QUARTER = replace(PART, title='RetinaNet, a quarter', recipe=Path('quarter'))
AGAIN = replace(PART, title='RetinaNet: again')
BOTH = replace(SUITE, parts=(PART, AGAIN, QUARTER))


def runs() -> list[dict]:
    """Two recipes with one ceiling; the second's image is half as large, and ours enlarges it."""
    half = records(ceiling=[0.6, 0.62], baseline=[0.4, 0.41], ours=[0.55, 0.57])
    for one in half:
        if one['row'] == 'ceiling':
            one['image_side'] = [160, 120]
    quarter = [
        dict(one, recipe='quarter', flops=5e8, image_side=[40, 30], jpeg90=1234.0)
        for one in records(baseline=[0.3, 0.3], ours=[0.35, 0.37])
    ]
    for one in quarter[2:]:
        one.update(enlarge=2.0, image_side=[80, 60], flops=1e9)
    shared = [dict(one, recipe='quarter') for one in half if one['row'] == 'ceiling']
    return half + quarter + shared


def test_each_row_of_each_recipe_comes_once_the_cheapest_first():
    shown = [(point.recipe, point.text, point.side) for point in points_of(BOTH, runs())]
    assert shown == [
        ('RetinaNet, a quarter', 'the baseline', (40, 30)),
        ('RetinaNet, a quarter', 'the ours', (40, 30)),
        ('RetinaNet', 'the baseline', (80, 60)),
        ('RetinaNet', 'the ours', (80, 60)),
        ('RetinaNet', 'the ceiling', (160, 120)),
    ]


def test_rows_on_the_front_are_better_than_all_that_cost_no_more():
    points = points_of(BOTH, runs())
    front = front_of(points)
    for index, point in enumerate(points):
        rivals = [one for one in points if one.flops <= point.flops and one is not point]
        best = all(one.place[1] < point.place[1] for one in rivals)
        assert (index in front) == best
    lines = front_table(BOTH, runs()).splitlines()[2:]
    assert [line.split('|')[-2].strip() for line in lines] == ['yes', '', '', 'yes', 'yes']
    assert lines[1].startswith(
        '| 2. the ours | RetinaNet, a quarter | 40×30 → 80×60 | 1.2 kB | 1.00 G | 36.0'
    )


def test_what_was_not_measured_is_left_out():
    unknown = records(ceiling=[0.6], ours=[None])
    assert [point.text for point in points_of(SUITE, unknown)] == ['the ceiling']


def test_the_picture_has_a_mark_a_number_and_a_name_for_each_row():
    panel, key = front_figure(BOTH, runs()).axes
    marks = [tuple(one.get_offsets()[0]) for one in panel.collections]
    assert marks == [
        pytest.approx(place) for place in [(5e8, 30), (1e9, 36), (1e9, 40.5), (1e9, 56), (4e9, 61)]
    ]
    assert panel.lines[0].get_xydata().tolist() == [
        pytest.approx(place) for place in [(5e8, 30), (1e9, 56), (4e9, 61)]
    ]
    assert sorted(text.get_text() for text in panel.texts) == ['1', '2', '3', '4', '5']
    assert [text.get_text() for text in key.texts] == [
        *('RetinaNet, a quarter', '1  the baseline', '2  the ours'),
        *('RetinaNet', '3  the baseline', '4  the ours', '5  the ceiling'),
    ]
    meanings = [text.get_text() for text in panel.get_legend().get_texts()]
    assert meanings == ['160×120, large image, –', '80×60, k = 2, –', '40×30, k = 4, 1.2 kB']


def test_shapes_are_those_of_the_stored_image():
    panel, _ = front_figure(BOTH, runs()).axes
    half, ours, plain, best, large = (
        one.get_paths()[0].vertices.tolist() for one in panel.collections
    )
    assert half == ours != plain == best != large != half


def test_a_panel_for_each_set():
    both = [dict(one, flops=1e9) for one in two_sets(ceiling=[(0.6, 0.5)], ours=[(0.5, 0.4)])]
    titles = [panel.get_title(loc='left') for panel in front_figure(SUITE, both).axes[::2]]
    assert titles == ['A few, day', 'A few, night']
    assert front_table(SUITE, both).startswith('Set day:\n\n| row |')


@pytest.mark.parametrize(
    'values, expected',
    [
        ([], []),
        ([0, 5, 9], [0, 5, 9]),
        ([0, 0, 0], [-1, 0, 1]),
        ([0, 0.5, 5], [-0.25, 0.75, 5]),
        ([0, 1.5, 1.5], [0, 1, 2]),
    ],
)
def test_numbers_move_apart_around_their_mean(values, expected):
    assert spread_out(values, 1) == pytest.approx(expected)
