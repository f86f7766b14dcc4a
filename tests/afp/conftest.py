import pytest
from mmdet.utils import register_all_modules

from pd_mmdet.testing.zoo.stand_ins import stand_ins  # noqa: E402

register_all_modules()


@pytest.fixture
def operators():
    """Those of MMCV's that only a GPU has, in plain PyTorch."""
    with stand_ins():
        yield
