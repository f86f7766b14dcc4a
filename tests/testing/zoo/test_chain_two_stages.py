"""The same for detectors of two stages and for masks."""

import pytest

from pd_mmdet.testing.zoo.chain import CHAIN, STEPS, run_chain

# Data of VOC, cascades, masks (as RLE of crowds, too), and RTMDet's masks of one stage.
FAMILIES = ('faster-rcnn_r50_fpn_1x_voc', 'cascade', 'mask-rcnn', 'rtmdet-ins')
LINKS = [
    link
    for link in CHAIN
    if link.config.rpartition('/')[2].startswith(FAMILIES)
    and (link.hard or 'mask_rcnn/mask' not in link.config)
]


@pytest.mark.parametrize('link', LINKS, ids=str)
def test_every_step_succeeds(link, tmp_path, stock):
    assert run_chain(link, tmp_path / 'chain', stock) == dict.fromkeys(STEPS, '')
