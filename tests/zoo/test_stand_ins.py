import pytest
from mmdet.models.dense_heads import SSDHead, paa_head

from pd_mmdet.zoo.stand_ins import stand_ins


def test_everything_is_as_it_was_afterwards():
    before = paa_head.skm, hasattr(SSDHead, 'loss_cls')
    with pytest.raises(KeyError), stand_ins():
        assert paa_head.skm
        raise KeyError
    assert (paa_head.skm, hasattr(SSDHead, 'loss_cls')) == before
