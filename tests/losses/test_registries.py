"""Losses without models are built by the registries of both tasks."""

import pytest
import torch
from mmdet.registry import MODELS as DETECTION
from mmengine.registry import Registry
from torch import nn

from pd_mmdet.losses.at import ATLoss
from pd_mmdet.losses.dkd import DKDLoss
from pd_mmdet.losses.ickd import ICKDLoss
from pd_mmdet.losses.kd import KDLoss
from pd_mmdet.losses.sp import SPLoss

LOSSES = [ATLoss, DKDLoss, ICKDLoss, KDLoss, SPLoss]


@pytest.fixture(params=['mmdet', 'mmpretrain'])
def registry(request) -> Registry:
    if request.param == 'mmdet':
        return DETECTION
    return pytest.importorskip('mmpretrain.registry').MODELS


@pytest.mark.parametrize('loss', LOSSES)
def test_both_tasks_find_a_loss_by_its_name(registry, loss):
    assert type(registry.build(dict(type=loss.__name__))) is loss


def test_both_tasks_find_the_loss_of_fitnets_in_torch(registry):
    loss = registry.build(dict(type='torch.nn.MSELoss'))
    assert type(loss) is nn.MSELoss
    student, teacher = torch.zeros(2, 3, 4, 5).bfloat16(), torch.ones(2, 3, 4, 5).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert loss(student, teacher).dtype == torch.float32
