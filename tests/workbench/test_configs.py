from mmengine.config import ConfigDict

from pd_mmdet.workbench.configs import dotted, innermost_datasets, key_of, replace, walk

CFG = ConfigDict(a=dict(b=[1, dict(c=2)]), d=(3,))


def test_walk_yields_outer_values_first_with_their_places():
    found = {dotted(place): value for place, value in walk(CFG)}
    assert list(found) == ['', 'a', 'a.b', 'a.b.0', 'a.b.1', 'a.b.1.c', 'd', 'd.0']
    assert found['a.b.1'] == dict(c=2) and found['d'] == (3,)


def test_walk_stops():
    places = [dotted(place) for place, _ in walk(CFG, stop=lambda value: isinstance(value, list))]
    assert places == ['', 'a', 'a.b', 'd', 'd.0']


def test_replace_makes_everything_anew_inner_values_first():
    seen = []

    def double(place, value):
        seen.append(dotted(place))
        return 2 * value if isinstance(value, int) else value

    assert replace(CFG, double) == dict(a=dict(b=[2, dict(c=4)]), d=(6,))
    assert seen == ['a.b.0', 'a.b.1.c', 'a.b.1', 'a.b', 'a', 'd.0', 'd', '']
    assert CFG.a.b[0] == 1


def test_items_of_a_list_have_its_key():
    assert key_of(('model', 'necks', 0)) == 'necks'
    assert key_of(()) == ''


def test_datasets_inside_of_wrappers():
    inner = [dict(ann_file='a'), dict(ann_file='b')]
    wrapped = dict(dataset=dict(datasets=[inner[0], dict(dataset=inner[1])]), pipeline=[])
    assert list(innermost_datasets(wrapped)) == [
        (('dataset', 'datasets', 0), inner[0]),
        (('dataset', 'datasets', 1, 'dataset'), inner[1]),
    ]
