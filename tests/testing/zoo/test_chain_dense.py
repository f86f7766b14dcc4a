"""From make_recipe to the cost report, on one-stage detectors; check_zoo.py --chain tries more."""

import pytest

from pd_mmdet.testing.zoo.chain import CHAIN, STEPS, run_chain

# Anchors, points (of enlarged images), sub-cells, the data of RTMDet and YOLOX, and a heatmap.
FAMILIES = ('retinanet', 'fcos', 'atss', 'rtmdet_', 'yolox', 'centernet')
LINKS = [
    link
    for link in CHAIN
    if link.config.rpartition('/')[2].startswith(FAMILIES)
    and (link.knobs or not link.config.startswith(('fcos', 'atss')))
]


@pytest.mark.parametrize('link', LINKS, ids=str)
def test_every_step_succeeds(link, tmp_path, stock):
    assert run_chain(link, tmp_path / 'chain', stock) == dict.fromkeys(STEPS, '')
