import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

pytest.importorskip('mmpretrain')
from pd_mmdet.classification.position import check_positions  # noqa: E402

ARCH = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)


def classifier(kind: str, **options: object) -> nn.Module:
    head = dict(type='VisionTransformerClsHead', num_classes=3, in_channels=24)
    return MODELS.build(
        dict(type='ImageClassifier', backbone=dict(type=kind, **options), head=head)
    )


def vit(img_size: object, **options: object) -> nn.Module:
    return classifier('VisionTransformer', arch=ARCH, img_size=img_size, patch_size=16, **options)


def test_what_mmpretrain_resizes_passes_and_nothing_changes():
    student, assistant = vit(32), vit(64)
    before = [{n: v.clone() for n, v in m.state_dict().items()} for m in (student, assistant)]
    check_positions(student, assistant)
    for model, weights in zip((student, assistant), before):
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_grid_that_is_not_square_is_refused():
    message = r'backbone.pos_embed is .* cannot be resized from \(1, 9, 24\) .* \(1, 3, 24\)'
    with pytest.raises(ValueError, match=message + '.*VisionTransformer.*length of `pos_embed`'):
        check_positions(vit((32, 16)), vit((64, 32)))


def test_a_backbone_that_does_not_resize_is_refused():
    tnt = dict(kind='TNT', arch='s', patch_size=16)
    with pytest.raises(ValueError, match='backbone.patch_pos is a position embedding that cannot'):
        check_positions(classifier(img_size=32, **tnt), classifier(img_size=64, **tnt))
    check_positions(classifier(img_size=32, **tnt), classifier(img_size=32, **tnt))


def test_a_teacher_of_another_network_is_not_looked_at():
    wide = dict(ARCH, embed_dims=48, feedforward_channels=96)
    for teacher in (
        classifier('VisionTransformer', arch=wide, img_size=(64, 32), patch_size=16),
        classifier('ResNet', depth=18, base_channels=8, stem_channels=8),
    ):
        check_positions(vit((32, 16)), teacher)
