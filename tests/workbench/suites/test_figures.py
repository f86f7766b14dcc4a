from dataclasses import replace
from pathlib import Path

import pytest

from pd_mmdet.workbench.suites.figures import scores_figure, sizes_of
from tests.helpers import suite_records


def runs():
    return suite_records.records(ceiling=[0.6, 0.62], baseline=[0.4, 0.41], ours=[0.55, 0.57])


def test_a_point_for_each_row_that_was_run():
    (panel,) = scores_figure(suite_records.SUITE, runs()).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == [
        *('the ceiling', 'the baseline', 'the ours')
    ]
    points = [container.lines[0].get_xdata()[0] for container in panel.containers]
    assert points == pytest.approx([61, 40.5, 56])


def test_what_was_not_measured_is_not_drawn():
    records = suite_records.records(ceiling=[0.6], baseline=[None], ours=[0.5])
    (panel,) = scores_figure(suite_records.SUITE, records).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ['the ceiling', 'the ours']
    records = [dict(one, bbox_mAP_s=0.3, bbox_mAP_m=None, bbox_mAP_l=0.5) for one in records]
    assert sizes_of(records) == ['small', 'large']


def test_a_part_without_a_student_has_no_panel():
    other = replace(suite_records.PART, recipe=Path('other'))
    suite = replace(suite_records.SUITE, parts=(other, suite_records.PART))
    shared = [dict(run, recipe='other') for run in suite_records.records(ceiling=[0.6, 0.62])]
    (panel,) = scores_figure(suite, [*shared, *runs()]).axes
    assert len(panel.get_yticklabels()) == 3


def test_a_panel_for_each_set():
    records = suite_records.two_sets(ceiling=[(0.6, 0.5)], ours=[(0.5, 0.4)])
    panels = scores_figure(suite_records.SUITE, records).axes
    titles = [panel.get_title(loc='left') for panel in panels]
    assert titles == ['RetinaNet, day', 'RetinaNet, night']
    points = [[one.lines[0].get_xdata()[0] for one in panel.containers] for panel in panels]
    assert points == [pytest.approx([60, 50]), pytest.approx([50, 40])]
