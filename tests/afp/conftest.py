import sys
from pathlib import Path

import pytest
from mmdet.utils import register_all_modules

sys.path.insert(0, str(Path(__file__).parent))  # for `slim`, what these tests share

from pd_mmdet.zoo.stand_ins import stand_ins  # noqa: E402

register_all_modules()


@pytest.fixture
def operators():
    """Those of MMCV's that only a GPU has, in plain PyTorch."""
    with stand_ins():
        yield
