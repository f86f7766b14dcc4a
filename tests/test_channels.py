import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import nn

from pd_mmdet.channels import image_channels

SIDE = 64
RESNET = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
SWIN = dict(type='SwinTransformer', embed_dims=12, depths=[1] * 4, num_heads=[1] * 4)
PVT = dict(type='PyramidVisionTransformer', embed_dims=8, num_layers=[1] * 4, pretrain_img_size=64)
IMAGENET = [103.53, 116.28, 123.675]


class Model(BaseModel):
    """A backbone behind a preprocessor: what is looked at of a detector."""

    def __init__(self, backbone, mean=None):
        super().__init__(dict(type='ImgDataPreprocessor', mean=None, std=None))
        if mean:
            self.data_preprocessor.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1))
        self.backbone = backbone

    def extract_feat(self, image):
        return self.backbone(image)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise AssertionError('heads need not run')


@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('mean', [None, [7.0]])
@pytest.mark.parametrize('backbone', [RESNET, dict(RESNET, type='ResNetV1d', depth=50), SWIN, PVT])
def test_a_backbones_in_channels_are_found(backbone, mean, channels):
    model = Model(MODELS.build(dict(backbone, in_channels=channels)), mean)
    assert image_channels(model, SIDE) == channels


@pytest.mark.parametrize('mean', [None, IMAGENET])
def test_focus_makes_four_channels_of_one(mean):
    darknet = MODELS.build(dict(type='CSPDarknet', widen_factor=0.125, deepen_factor=0.1))
    assert darknet.stem.conv.conv.in_channels == 12
    assert image_channels(Model(darknet, mean), SIDE) == 3


@pytest.mark.parametrize('channels', [1, 4])
def test_tokens_of_many_pixels(channels):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(8, 8, 1)  # registered first, but run last
            self.linear = nn.Linear(channels * 7 * 7, 8)

        def forward(self, image):
            tokens = self.linear(nn.functional.unfold(image, 7, stride=7).transpose(1, 2))
            return self.last(tokens.transpose(1, 2)[..., None])

    assert image_channels(Model(Tokens()), SIDE) == channels


@pytest.mark.parametrize('channels', [1, 4])
def test_a_norm_layer_comes_first(channels):
    model = Model(nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, 8, 3)))
    assert image_channels(model, SIDE) == channels
    assert model.backbone[0].num_batches_tracked == 0 and model.backbone[0].training


def test_two_streams_that_share_the_channels():
    class Streams(nn.Module):
        def __init__(self):
            super().__init__()
            self.colour, self.infrared = nn.Conv2d(3, 8, 3), nn.Conv2d(1, 8, 3)

        def forward(self, image):
            return self.colour(image[:, :3]) + self.infrared(image[:, 3:])

    assert image_channels(Model(Streams(), [0.0] * 4), SIDE) == 4


def test_a_network_for_one_size_only():
    models = pytest.importorskip('mmpretrain.registry').MODELS
    arch = dict(embed_dims=8, num_layers=1, tokens_mlp_dims=8, channels_mlp_dims=8)
    options = dict(arch=arch, img_size=32, patch_size=16, patch_cfg=dict(in_channels=1))
    mixer = models.build(dict(type='mmpretrain.MlpMixer', **options))
    assert image_channels(Model(mixer), 32) == 1
    with pytest.raises(AssertionError):
        image_channels(Model(mixer), SIDE)


def test_a_mean_of_other_channels_is_refused():
    with pytest.raises(ValueError, match='mean has 3 values, but .* Model reads 1 channels'):
        image_channels(Model(MODELS.build(dict(RESNET, in_channels=1)), IMAGENET), SIDE)
