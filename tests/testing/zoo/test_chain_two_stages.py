"""From make_recipe to the cost report, on detectors of two stages and with masks."""

import pytest

from pd_mmdet.testing.zoo.chain import CHAIN, STEPS, run_chain

FAMILIES = ('faster-rcnn_r50_fpn_1x_voc', 'cascade', 'mask-rcnn', 'rtmdet-ins')
LINKS = [link for link in CHAIN if link.config.rpartition('/')[2].startswith(FAMILIES)]


@pytest.mark.parametrize('link', LINKS, ids=str)
def test_every_step_succeeds(link, tmp_path, stock):
    assert run_chain(link, tmp_path / 'chain', stock) == dict.fromkeys(STEPS, '')
