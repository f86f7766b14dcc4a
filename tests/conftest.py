"""Start every test from MMDetection's scope, one thread and one seed."""

import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import utils as config_utils
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, set_random_seed
from yapf.yapflib import yapf_api

from tests.helpers.glyphs import make_glyphs

torch.set_num_threads(1)
register_all_modules()
# MMEngine's datasets collect garbage when they are built: what is imported need not be looked at.
gc.freeze()
# To find one `mmdet::` config MMEngine reads all metafiles of MMDetection, for half a second.
config_utils.load = cache(config_utils.load)
# Configs are written as they are: making one pretty takes a second.
yapf_api.FormatCode = lambda text, **_: (text, False)


TAKE_LONG = (
    'test_families',
    'test_chain_',
    'test_training',
    'test_distributed',
    'test_configs_train',
    'test_train_tas',
    'test_readme',
    'test_cls_',
    'test_export_',
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take long come first, so that no process works alone at the end."""
    items.sort(key=lambda item: not item.path.name.startswith(TAKE_LONG))


@pytest.fixture(autouse=True)
def scope_and_seed() -> Iterator[None]:
    init_default_scope('mmdet')
    set_random_seed(0)
    yield
    init_default_scope('mmdet')  # what a module shares is made before this runs for its first test


@pytest.fixture(scope='session')
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make glyphs of 96×96 pixels: 12 images to train on and 4 to validate on."""
    return make_glyphs(tmp_path_factory.mktemp('data') / 'glyphs', 96)


@pytest.fixture(autouse=True)
def stock_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what TeacherHook and the tools do to the checkpoints' loader of the process."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
