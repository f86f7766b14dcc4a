"""What tests of classification start from: MMPretrain's scope."""

import sys
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

sys.path.insert(0, str(Path(__file__).parent))  # for `tiny_cls`, what these tests share


@pytest.fixture(autouse=True)
def classification_scope(scope_and_seed: None) -> None:
    init_default_scope('mmpretrain')
