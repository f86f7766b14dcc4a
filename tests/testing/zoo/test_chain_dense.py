"""From make_recipe to the cost report, on one-stage detectors; check_zoo.py --chain tries more."""

from pathlib import Path

import pytest

from pd_mmdet.testing.zoo.chain import CHAIN, COARSE, STEPS, run_chain

# Anchors, points (of enlarged images), sub-cells, the data of RTMDet and YOLOX, and a heatmap.
TRIED = {
    'retinanet_r50_fpn_1x_coco': COARSE,
    'fcos_r50-caffe_fpn_gn-head_1x_coco': ('--enlarge', '2'),
    'atss_r50_fpn_1x_coco': (),
    'rtmdet_tiny_8xb32-300e_coco': COARSE,
    'yolox_tiny_8xb8-300e_coco': COARSE,
    'centernet_r18_8xb16-crop512-140e_coco': COARSE,
}
LINKS = [link for link in CHAIN if TRIED.get(Path(link.config).stem) == link.knobs]


@pytest.mark.parametrize('link', LINKS, ids=str)
def test_every_step_succeeds(link, tmp_path, stock):
    assert run_chain(link, tmp_path / 'chain', stock) == dict.fromkeys(STEPS, '')
