import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample

from pd_mmdet.afp import rescale
from pd_mmdet.ratio import parse_ratio
from pd_mmdet.testing.zoo.check import Verdict, check_config
from pd_mmdet.testing.zoo.configs import read_config

METAINFO = dict(img_shape=(300, 300), scale_factor=(1.0, 1.0))

MINE = """
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, num_classes=3),
)
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(MINE)
    return path


SSD = """
_base_ = 'mmdet::_base_/models/ssd300.py'
thin = dict(type='ResNet', depth=18, base_channels=8, out_indices=(1, 2))
model = dict(
    backbone=dict(_delete_=True, **thin),
    neck=dict(in_channels=(16, 32), out_channels=(16, 32, 64, 32, 32, 32), l2_norm_scale=None),
    bbox_head=dict(in_channels=(16, 32, 64, 32, 32, 32), num_classes=3),
)
"""


def check(path, ratio='2'):
    return check_config(str(path), parse_ratio(ratio))


@pytest.mark.parametrize('ratio', ['2', '3/2'])
def test_a_users_config_is_aligned(mine, ratio):
    cells = '' if ratio == '2' else None
    assert check(mine, ratio) == Verdict(str(mine), 'aligned', cells=cells)


def test_a_refusal_is_given_as_the_user_sees_it(mine):
    mine.write_text(MINE.replace('model = dict(', 'model = dict(type="DETR",'))
    assert check(mine).status == 'refused'
    assert check(mine).reason.startswith('its predictions belong to learned queries')


def test_a_failure_names_the_invariant(mine, monkeypatch):
    monkeypatch.setattr(rescale.FeatureRescale, 'forward', lambda self, feats, sizes: feats)
    verdict = check(mine)
    assert verdict.status == 'fails'
    assert verdict.reason.startswith('invariant 2: shapes')


def test_what_mmdetection_cannot_build_is_not_afps_failure(mine):
    mine.write_text(MINE.replace('feat_channels', 'feet_channels'))
    with pytest.raises(TypeError):
        MODELS.build(dict(type='RetinaHead', num_classes=1, in_channels=1, feet_channels=1))
    verdict = check(mine)
    assert verdict.status == 'broken'
    assert 'feet_channels' in verdict.reason


def test_what_mmdetection_cannot_predict_with_is_not_called_aligned(mine, monkeypatch):
    """Its own SSD asks for a loss that its head does not have."""
    mine.write_text(SSD)
    model = MODELS.build(read_config(str(mine)).model).eval()
    with pytest.raises(AttributeError) as raised:
        model.predict(torch.zeros(1, 3, 300, 300), [DetDataSample(metainfo=METAINFO)])
    assert check(mine) == Verdict(
        str(mine),
        'cannot predict',
        "AFP aligns it, but MMDetection's own prediction ends in AttributeError: "
        f'{str(raised.value).splitlines()[0]}',
    )
    monkeypatch.setattr(SSDHead, 'loss_cls', None, raising=False)
    assert check(mine).status == 'aligned'
