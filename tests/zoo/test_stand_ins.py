import sys

import pytest
from mmdet.models.dense_heads import SSDHead

from pd_mmdet.cpu_operators import carafe
from pd_mmdet.zoo.stand_ins import stand_ins


def test_everything_is_as_it_was_afterwards():
    module = sys.modules['mmcv.ops.carafe']
    before = module.carafe, hasattr(SSDHead, 'loss_cls')
    with pytest.raises(KeyError), stand_ins():
        assert module.carafe is carafe and hasattr(SSDHead, 'loss_cls')
        raise KeyError
    assert (module.carafe, hasattr(SSDHead, 'loss_cls')) == before
