import pytest

from pd_mmdet.workbench.costs.pareto import cost_figure, pareto_front


@pytest.mark.parametrize(
    'points, front',
    [
        ([(1, 10), (2, 20), (3, 15)], [0, 1]),
        ([(3, 30), (1, 30), (2, 20)], [1]),
        ([(1, 10), (1, 12)], [1]),
        ([], []),
    ],
)
def test_none_is_better_and_cheaper(points, front):
    assert pareto_front(points) == front


def test_a_panel_for_each_cost_with_the_networks_that_have_both_numbers():
    rows = [
        dict(name='large', view='hr', bbox_mAP=0.5, flops=10, memory=None),
        dict(name='small', view='lr', bbox_mAP=0.4, flops=5, memory=3.0),
        dict(name='unknown', view='lr', flops=1, memory=1.0),
        dict(name='without', view='lr', flops=1, memory=1.0, bbox_mAP=None),
        dict(name='no objects', view='lr', flops=1, memory=1.0, bbox_mAP=-1.0),
    ]
    figure = cost_figure(rows, dict(flops='FLOPs', memory='memory'), dict(bbox_mAP='AP'))
    flops, memory, _ = figure.axes
    assert flops.get_xlabel() == 'FLOPs' and flops.get_ylabel() == 'AP'
    assert [text.get_text() for text in flops.texts] == ['1', '2']
    assert [text.get_text() for text in memory.texts] == ['2']
    names = [text.get_text() for text in figure.legends[0].texts]
    assert names[:2] == ['1  large', '2  small']
    assert flops.lines[0].get_xydata().tolist() == [[5, 40], [10, 50]]


def test_panels_again_for_each_set():
    rows = [{'name': 'a', 'view': 'hr', 'flops': 10, 'day/bbox_mAP': 0.5, 'night/bbox_mAP': 0.3}]
    titles = {'day/bbox_mAP': 'AP, day', 'night/bbox_mAP': 'AP, night'}
    panels = cost_figure(rows, dict(flops='FLOPs'), titles).axes
    drawn = [panel for panel in panels if panel.lines]
    assert [panel.get_ylabel() for panel in drawn] == ['AP, day', 'AP, night']
    assert [panel.lines[0].get_xydata().tolist() for panel in drawn] == [[[10, 50]], [[10, 30]]]
    assert sum(panel.axison for panel in panels) == 2
