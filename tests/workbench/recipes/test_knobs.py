from fractions import Fraction

import pytest
from mmdet.utils import register_all_modules

from pd_mmdet.testing.zoo.configs import read_config
from pd_mmdet.workbench.recipes.knobs import choose_knobs

ONE_STAGE = 'retinanet/retinanet_r50_fpn_1x_coco.py'


@pytest.fixture(autouse=True)
def stock_modules() -> None:
    register_all_modules()


def model(config: str) -> dict:
    return read_config(config).model


@pytest.mark.parametrize(
    'ratio, enlarge, cells, chosen',
    [
        ('2', None, None, (1, 2)),
        ('4', None, None, (2, 2)),
        ('3', None, None, (Fraction(3, 2), 2)),
        ('3/2', None, None, (1, 1)),  # 2×2 sub-cells would be more than the teacher's cells
        ('9/4', None, None, (1, 2)),  # enlarged 9/8 times: no ratio
        ('4', '4', None, (4, 1)),
        ('4', '1', None, (1, 2)),
        ('4', None, 4, (1, 4)),
        ('4', None, 1, (1, 1)),
    ],
)
def test_of_a_one_stage_detector(ratio, enlarge, cells, chosen):
    assert choose_knobs(model(ONE_STAGE), Fraction(ratio), enlarge, cells) == chosen


@pytest.mark.parametrize(
    'config',
    [
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        'centernet/centernet_r18_8xb16-crop512-140e_coco.py',
    ],
)
def test_two_stages_and_heads_that_cannot_stay_as_they_are(config):
    assert choose_knobs(model(config), Fraction(4)) == (1, 1)
