"""Start tests of classification from MMPretrain's scope."""

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def classification_scope(scope_and_seed: None) -> None:
    init_default_scope('mmpretrain')
