"""What every test starts from: MMDetection's scope, one thread, one seed."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def scope_and_seed():
    init_default_scope('mmdet')
    set_random_seed(0)
