import pytest

from pd_mmdet.workbench.suites.figures import ap_figure, similarity_figure, sizes_figure, sizes_of
from tests.helpers import suite_records


def runs():
    return suite_records.records(ceiling=[0.6, 0.62], baseline=[0.4, 0.41], ours=[0.55, 0.57])


def test_a_point_for_each_row_that_was_run():
    (panel,) = ap_figure(suite_records.SUITE, runs()).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == [
        *('the ceiling', 'the baseline', 'the ours')
    ]
    points = [container.lines[0].get_xdata()[0] for container in panel.containers]
    assert points == pytest.approx([61, 40.5, 56])


def test_sizes_of_the_undistilled_ours_and_the_ceiling():
    records = [dict(one, bbox_mAP_s=0.3, bbox_mAP_m=0.4, bbox_mAP_l=0.5) for one in runs()]
    (panel,) = sizes_figure(suite_records.SUITE, suite_records.PART, records).axes
    labels = [label.get_text() for label in panel.get_legend().get_texts()]
    assert labels == ['the baseline', 'the ours', 'the ceiling']
    assert len(panel.patches) == 9


def test_sizes_that_no_object_has_are_left_out():
    records = [dict(one, bbox_mAP_s=0.3, bbox_mAP_m=-1, bbox_mAP_l=-1) for one in runs()]
    (panel,) = sizes_figure(suite_records.SUITE, suite_records.PART, records).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ['small objects']
    assert len(panel.patches) == 3


def test_what_was_not_measured_is_not_drawn():
    records = suite_records.records(ceiling=[0.6], baseline=[None], ours=[0.5])
    (panel,) = ap_figure(suite_records.SUITE, records).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ['the ceiling', 'the ours']
    records = [dict(one, bbox_mAP_s=0.3, bbox_mAP_m=None, bbox_mAP_l=0.5) for one in records]
    assert sizes_of(records) == ['small', 'large']


def test_a_panel_for_each_set():
    records = suite_records.two_sets(ceiling=[(0.6, 0.5)], ours=[(0.5, 0.4)])
    panels = ap_figure(suite_records.SUITE, records).axes
    titles = [panel.get_title(loc='left') for panel in panels]
    assert titles == ['RetinaNet, day', 'RetinaNet, night']
    points = [[one.lines[0].get_xdata()[0] for one in panel.containers] for panel in panels]
    assert points == [pytest.approx([60, 50]), pytest.approx([50, 40])]


def test_a_line_for_each_network_over_the_levels():
    (panel,) = similarity_figure({'ours': [0.9, 0.8, 0.7], 'undistilled': [0.2, 0.3, 0.4]}).axes
    assert [line.get_ydata().tolist() for line in panel.lines] == [[0.9, 0.8, 0.7], [0.2, 0.3, 0.4]]
