import sys

import numpy as np
import pytest
from mmdet.models.dense_heads import SSDHead, paa_head

from pd_mmdet.cpu_operators import carafe
from pd_mmdet.testing.zoo.stand_ins import stand_ins


def test_everything_is_as_it_was_afterwards():
    module = sys.modules['mmcv.ops.carafe']

    def state() -> tuple:
        return module.carafe, paa_head.skm.GaussianMixture, hasattr(SSDHead, 'loss_cls')

    before = state()
    with pytest.raises(KeyError), stand_ins():
        assert module.carafe is carafe and hasattr(SSDHead, 'loss_cls')
        raise KeyError
    assert state() == before


def test_the_mixture_of_large_losses_is_that_of_small_ones():
    """Six losses of which one lies apart: in single precision scikit-learn 1.9 fails on them."""
    losses = np.array(
        [[20.544493], [21.384934], [21.969282], [22.445339], [23.120468], [27.280193]]
    )
    options = dict(
        weights_init=[0.5, 0.5],
        means_init=losses[[0, -1]],
        precisions_init=[[1.0], [1.0]],
        covariance_type='diag',
        random_state=0,
    )
    single = losses.astype(np.float32)
    exact = paa_head.skm.GaussianMixture(2, **options).fit(losses)
    with stand_ins():
        found = paa_head.skm.GaussianMixture(2, **options).fit(single)
    assert found.predict(single).tolist() == exact.predict(losses).tolist() == [0, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(found.means_, exact.means_, rtol=1e-6)
