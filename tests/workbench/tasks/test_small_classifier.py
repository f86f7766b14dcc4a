from fractions import Fraction

import pytest
from mmengine.hub import get_config

pytest.importorskip('mmpretrain')
from pd_mmdet.workbench.tasks.small_classifier import small_classifier  # noqa: E402

TWO = Fraction(2)


def changes(ratio: Fraction = TWO, **backbone: object) -> dict:
    return small_classifier(dict(backbone=backbone), ratio).get('backbone', {})


@pytest.mark.parametrize(
    'backbone, ratio, size',
    [
        (dict(type='VisionTransformer', img_size=224), TWO, 112),
        (dict(type='VisionTransformer'), Fraction(4), 56),  # its own default
        (dict(type='ViTEVA02'), TWO, 112),  # that of the class which it extends
        (dict(type='VisionTransformer', img_size=(96, 48)), Fraction(3, 2), (64, 32)),
    ],
)
def test_a_size_of_image_is_divided(backbone, ratio, size):
    assert changes(ratio, **backbone) == dict(img_size=size)


def test_a_size_that_the_ratio_does_not_divide():
    with pytest.raises(ValueError, match='backbone.img_size=224 must be a multiple of 3'):
        changes(Fraction(3), type='VisionTransformer')


def test_windows_may_be_larger_than_the_last_map():
    swin = get_config('mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py').model.backbone
    assert {k: v for k, v in changes(**swin).items() if k != 'windows'} == dict(
        img_size=112, pad_small_map=True
    )


def test_a_frozen_stem_is_trained_and_a_network_of_any_size_stays():
    assert changes(type='ResNet', frozen_stages=2)['frozen_stages'] == -1
    for kind in ('ResNet', 'ResNet_CIFAR', 'ShuffleNetV2', 'MobileNetV3', 'EfficientNet'):
        assert changes(type=kind) == {}
