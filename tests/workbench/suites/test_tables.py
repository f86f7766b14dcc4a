from statistics import stdev

import pytest

from pd_mmdet.workbench.suites.figures import scores_figure
from pd_mmdet.workbench.suites.front import front_table
from pd_mmdet.workbench.suites.tables import gap, part_table
from tests.helpers.suite_records import PART, SUITE, records, two_sets, with_row


def cells(table: str, row: str) -> list[str]:
    (line,) = (line for line in table.splitlines() if line.startswith(f'| the {row} |'))
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_the_gap_is_to_the_better_of_the_undistilled():
    runs = records(ceiling=[0.5, 0.6], baseline=[0.3, 0.4], baseline_long=[0.4, 0.4])
    between = gap(runs, PART)
    assert between.floor_row == 'baseline_long'
    assert between.size == pytest.approx(0.15)
    assert between.spread == pytest.approx(stdev([0.5, 0.6]))
    assert between.recovered([0.5, 0.55]) == pytest.approx(0.125 / 0.15)


def test_a_row_shows_its_seeds_and_what_it_recovers():
    runs = records(
        ceiling=[0.60, 0.60], baseline=[0.40, 0.40], baseline_long=[0.30, 0.30], ours=[0.54, 0.56]
    )
    table = part_table(SUITE, PART, runs)
    assert cells(table, 'ours') == [
        *('the ours', '80×60', '55.0 ± 1.4', '90.0 ± 0.0', '50.0 ± 0.0', '–', '40.0 ± 0.0'),
        *('60.0 ± 0.0', '95 %', '75 %', '400', '2'),
    ]
    for row in ('ceiling', 'baseline', 'baseline_long'):
        assert cells(table, row)[-3:] == ['–', '400', '2']
    assert 'H − B = 20.0 AP, with B “the baseline”, the better of the two.' in table


def test_a_row_below_the_undistilled_recovers_less_than_nothing():
    runs = records(ceiling=[0.60, 0.60], baseline=[0.40, 0.40], ours=[0.38, 0.38])
    assert cells(part_table(SUITE, PART, runs), 'ours')[-3] == '−10 %'


def test_rows_that_were_not_run_are_named_below():
    table = part_table(SUITE, PART, records(ours=[0.5]))
    assert '| the pkd |' not in table
    assert table.endswith(
        'H or B was not run: no recovered gap. Not run: “the ceiling”, “the baseline”, '
        '“the baseline_long”, “the pkd”.\n'
    )
    assert cells(table, 'ours')[-3:] == ['–', '400', '1']


@pytest.mark.parametrize(
    'ceiling, said',
    [
        ([0.41, 0.45], "H − B = 1.0 AP is within the seeds' spread, 4.0: no recovered gap"),
        ([0.60], 'H − B = 18.0 AP on one seed, whose spread is not known: no recovered gap'),
    ],
)
def test_a_gap_that_is_not_clear_is_not_divided_by(ceiling, said):
    runs = records(ceiling=ceiling, baseline=[0.40, 0.44], ours=[0.5, 0.5])
    table = part_table(SUITE, PART, runs)
    assert said in table and cells(table, 'ours')[-3] == '–'


def test_what_pixels_and_what_cells_lose():
    """By hand: 60 - 59, and 59 - 51; standard deviations of 1 and 1, and of 1 and 0."""
    runs = records(
        ceiling=[0.59, 0.60, 0.61], enlarged_k2=[0.58, 0.59, 0.60], baseline=[0.51, 0.51, 0.51]
    )
    suite, part = with_row('enlarged_k2')
    table = part_table(suite, part, runs)
    assert 'Information gap, H − “the enlarged_k2”: 1.0 ± 1.4 AP. ' in table
    assert 'Grid gap, “the enlarged_k2” − “the baseline”: 8.0 ± 1.0 AP. Not run' in table
    assert 'nformation gap' not in part_table(SUITE, PART, runs)
    one_seed = records(enlarged_k2=[0.50], baseline=[0.51])
    table = part_table(suite, part, one_seed)
    assert 'nformation gap' not in table
    assert 'Grid gap, “the enlarged_k2” − “the baseline”: −1.0 AP.' in table


def test_an_enlarged_image_is_shown_as_it_is_stored_and_as_it_is_read():
    runs = [dict(one, enlarge=2.0) for one in records(ours=[0.5])]
    assert cells(part_table(SUITE, PART, runs), 'ours')[1] == '40×30 → 80×60'
    assert cells(part_table(SUITE, PART, records(ours=[0.5])), 'ours')[1] == '80×60'


def test_rows_of_other_recipes_are_not_mixed_in():
    runs = [dict(one, recipe='other') for one in records(ours=[0.5])]
    assert '| the ours |' not in part_table(SUITE, PART, runs)


def test_what_was_not_measured_is_no_zero():
    """Nor is a gap reckoned from it."""
    runs = records(ceiling=[0.60, 0.60], baseline=[0.40, 0.40], ours=[0.54, None])
    table = part_table(SUITE, PART, runs)
    assert cells(table, 'ours')[2:4] == ['–', '90.0 ± 0.0'] and cells(table, 'ours')[-3] == '–'
    unknown = records(ceiling=[None, None], baseline=[0.40, 0.40], ours=[0.54, 0.54])
    assert gap(unknown, PART) is None
    assert 'The AP of H or B is not known' in part_table(SUITE, PART, unknown)
    old = [{key: value for key, value in one.items() if key != 'bbox_mAP_75'} for one in runs]
    assert cells(part_table(SUITE, PART, old), 'ours')[4] == '–'


def test_a_table_for_each_set():
    runs = two_sets(
        ceiling=[(0.6, 0.5), (0.6, 0.5)],
        baseline=[(0.4, 0.1), (0.4, 0.1)],
        ours=[(0.5, 0.4), (0.5, 0.4)],
    )
    day, night = part_table(SUITE, PART, runs).split('Set night:\n\n')
    assert day.startswith('Set day:\n\n| row |')
    # A table has the columns of its rows.
    assert cells(day, 'ours')[2:4] == ['50.0 ± 0.0', '95 %'] and cells(day, 'ours')[-3] == '50 %'
    assert cells(night, 'ours')[2] == '40.0 ± 0.0' and cells(night, 'ours')[-3] == '75 %'
    assert 'H − B = 20.0 AP' in day and 'H − B = 40.0 AP' in night


def test_classifiers_are_compared_by_balanced_accuracy():
    runs = records(ceiling=[0.8, 0.8], baseline=[0.6, 0.6], ours=[0.7, 0.7])
    keys = ('recipe', 'row', 'seed', 'view', 'image_side', 'flops')
    runs = [
        {key: run[key] for key in keys}
        | dict(coverage=None, epochs=10, top1=0.9, balanced=run['bbox_mAP'])
        for run in runs
    ]
    table = part_table(SUITE, PART, runs)
    assert table.startswith('| row | image | top-1 | balanced | recovered gap | epochs | seeds |')
    assert cells(table, 'ours')[1:] == ['80×60', '90.0 ± 0.0', '70.0 ± 0.0', '50 %', '10', '2']
    assert 'H − B = 20.0 balanced accuracy, with B “the baseline”' in table
    (panel,) = scores_figure(SUITE, runs).axes
    assert panel.get_xlabel().startswith('balanced accuracy')
    assert '| FLOPs | balanced accuracy | on the front |' in front_table(SUITE, runs)
