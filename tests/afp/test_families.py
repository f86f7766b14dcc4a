"""Invariants 1 to 4 for the families of MMDetection that have a pyramid, slim ones."""

from fractions import Fraction

import pytest

from pd_mmdet.testing.invariants import CHECKS, Pair
from pd_mmdet.testing.zoo.configs import annotations_of
from tests.helpers.slim import CLASSES, CONFIGS, slim, zoo_config

SOME = ['RetinaNet', 'FCOS', 'GFL', 'RepPoints', 'YOLOX', 'RTMDet', 'SSD', 'FasterRCNN', 'HTC']
CASES = [
    *((family, '2', 'average') for family in CONFIGS),
    *((family, '3/2', 'centred') for family in SOME),
    *((family, '4', 'average') for family in ('RetinaNet', 'YOLOX', 'SSD', 'FasterRCNN')),
]


@pytest.mark.parametrize(('family', 'ratio', 'kernel'), CASES)
def test_invariants_1_to_4(family, ratio, kernel, operators):
    annotations = annotations_of(zoo_config(family))
    annotations = annotations._replace(classes=min(annotations.classes, CLASSES))
    pair = Pair.build(slim(family), Fraction(ratio), annotations, kernel)
    for _, check in CHECKS:
        check(pair)
