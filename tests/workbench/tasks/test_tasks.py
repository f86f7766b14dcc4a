import sys

import pytest
from mmengine.config import Config

from pd_mmdet.workbench.tasks import task_of


def test_detection_is_the_default():
    assert task_of(Config(dict())).scope == 'mmdet'
    assert task_of(Config(dict(default_scope='mmdet'))).name == 'Detection'


def test_another_scope_is_refused():
    with pytest.raises(ValueError, match="'mmseg' is not served: 'mmdet' .* 'mmpretrain'"):
        task_of(Config(dict(default_scope='mmseg')))


class Missing:
    """A finder to whom MMPretrain is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name == 'mmpretrain':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


def test_without_mmpretrain(monkeypatch):
    ours = ('pd_mmdet.workbench.tasks.classification', 'pd_mmdet.classification', 'mmpretrain')
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, 'meta_path', [Missing(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match='pip install onedl-mmpretrain'):
        task_of(Config(dict(default_scope='mmpretrain')))
