import pytest
from mmdet.registry import MODELS

from pd_mmdet.workbench.onnx.served import check_detector
from tests.helpers import one_stage, two_stage
from tests.helpers.small_families import detector


def refused(cfg: dict, message: str) -> None:
    with pytest.raises(NotImplementedError, match=message):
        check_detector(MODELS.build(cfg))


@pytest.mark.parametrize('family', ['TOOD', 'VFNet', 'Fovea'])
def test_heads_that_predict_otherwise(family):
    refused(one_stage.detector(family), f'its head is a {family}Head; ATSSHead, FCOSHead')


@pytest.mark.parametrize('name', [two_stage.CASCADE, two_stage.MASK])
def test_heads_of_other_two_stage_detectors(name):
    refused(two_stage.detector(name), 'its (RoI )?head (is a CascadeRoIHead|has masks)')


def test_suppression_that_weakens_scores():
    cfg = detector('RetinaNet')
    cfg.test_cfg.nms = dict(type='soft_nms', iou_threshold=0.5)
    refused(cfg, "nms={'type': 'soft_nms'.* only dict")
