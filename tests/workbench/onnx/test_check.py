import numpy as np
import pytest

from pd_mmdet.workbench.onnx.check import Difference, Found, matched, with_odd_sizes

BOXES = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 10]], dtype=np.float32)
FOUND = Found(BOXES, np.array([0.9, 0.9, 0.3]), np.array([0, 1, 1]))


def test_detections_are_paired_whatever_their_order():
    order = [1, 0, 2]
    assert matched(FOUND, Found(*(each[order] for each in FOUND))) == [(0, 1), (1, 0), (2, 2)]


@pytest.mark.parametrize(
    'other',
    [
        FOUND._replace(boxes=BOXES + 2),
        FOUND._replace(labels=FOUND.labels + 2),
        FOUND._replace(scores=FOUND.scores / 2),
        Found(BOXES[:0], FOUND.scores[:0], FOUND.labels[:0]),
    ],
)
def test_others_have_no_pair(other):
    assert matched(FOUND, other) == []


@pytest.mark.parametrize(
    'change', [dict(boxes=0.1), dict(scores=0.01), dict(alone=6), dict(boxes=float('nan'))]
)
def test_differences_beyond_the_tolerances_are_refused(change):
    fine = Difference(images=2, found=1000, boxes=1e-4, scores=1e-6, alone=5)
    fine.check()
    with pytest.raises(ValueError, match='does not find what the student finds: 2 images'):
        fine._replace(**change).check()


def test_parts_of_odd_sizes():
    shapes = [each.shape for each in with_odd_sizes([np.zeros((80, 60, 3))] * 2)]
    assert shapes == [(80, 60, 3)] * 2 + [(61, 45, 3), (59, 45, 3)]
