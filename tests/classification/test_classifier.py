"""Classifiers that learn from a teacher which reads another view."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip('mmpretrain')

from mmengine.registry import DefaultScope, init_default_scope  # noqa: E402
from mmpretrain.datasets.transforms import CenterCrop  # noqa: E402

from pd_mmdet.hooks.isrd_visualization_hook import rebuild, side_by_side  # noqa: E402
from pd_mmdet.transforms import LowResolution  # noqa: E402
from tests.helpers.tiny_cls import (  # noqa: E402
    CLASSES,
    KD,
    batch,
    build,
    cnn,
    distiller,
    forward,
    save,
    train,
    vit,
)

FITNET = dict(type='torch.nn.MSELoss')


def teacher(tmp_path, cfg=None, seed=1):
    cfg = cfg or cnn(base=12)
    return dict(cfg=cfg, checkpoint=save(cfg, tmp_path / 'teacher.pth', seed))


def distilled(tmp_path, student=None, wise=None, **options):
    options.setdefault('terms', dict(kd=KD))
    model = build(distiller(student or cnn(), teacher=teacher(tmp_path, wise), **options))
    model.init_weights()
    return model


def feature(student, teacher, loss=FITNET):
    return dict(student=student, teacher=teacher, loss=loss, weight=1.0)


@pytest.mark.parametrize('student', [cnn(), vit()])
def test_without_terms_it_trains_as_the_plain_student(tmp_path, student):
    # Invariant 5, with a teacher that is built but not compared.
    plain = build(student)
    model = build(distiller(student, teacher=teacher(tmp_path)))
    for one in (plain, model):
        torch.manual_seed(3)
        one.init_weights()
    small = [batch(views=['lr'], seed=seed) for seed in range(3)]
    own = train(plain, small)
    logged = train(model, [batch(seed=seed) for seed in range(3)])
    assert [one['loss'] for one in own] == [one['loss'] for one in logged]
    for name, value in plain.state_dict().items():
        assert model.state_dict()[name].equal(value), name
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_the_logit_term_is_hintons(tmp_path):
    model = distilled(tmp_path, student_weight=0.1)
    data = batch()
    losses = forward(model, data)
    ready = model.data_preprocessor(data, True)
    with torch.no_grad():
        own = model.head(model.extract_feat(ready['inputs']['student']))
        wanted = model.teacher.model(ready['inputs']['teacher'], mode='tensor')
    labels = torch.cat([sample.gt_label for sample in ready['data_samples']])
    soft = F.kl_div(F.log_softmax(own / 4, 1), F.softmax(wanted / 4, 1), reduction='batchmean')
    assert losses['loss'].item() == pytest.approx(0.1 * F.cross_entropy(own, labels).item(), 1e-4)
    assert losses['distill_kd_loss'].item() == pytest.approx(0.9 * 16 * soft.item(), 1e-4)


def test_dkd_knows_the_labels_and_counts_the_iterations(tmp_path):
    loss = dict(type='DKDLoss', warmup=4)
    model = distilled(tmp_path, terms=dict(dkd=dict(KD, loss=loss, weight=1.0)))
    train(model, [batch(seed=seed) for seed in range(3)])
    assert model.state_dict()['distill.dkd.loss.step'] == 3


@pytest.mark.parametrize(
    ('tap', 'wise_tap'),
    [
        ('backbone.layer4', 'backbone.layer4'),  # 2 × 2 cells, and 4 × 4
        ('backbone.layer3', 'backbone.layer4'),
        ('neck', 'neck'),  # one cell
    ],
)
@pytest.mark.parametrize('loss', ['torch.nn.MSELoss', 'ATLoss', 'SPLoss', 'ICKDLoss'])
def test_features_of_any_grid_are_compared(tmp_path, tap, wise_tap, loss):
    if tap == 'neck' and loss == 'ATLoss':
        pytest.skip('it refuses maps of one cell: tests/losses/test_at.py')
    model = distilled(tmp_path, terms=dict(f=feature(tap, wise_tap, dict(type=loss))))
    (logged,) = train(model, [batch()])
    assert logged['distill_f_loss'] > 0
    adapts = loss not in ('ATLoss', 'SPLoss')
    assert isinstance(model.distill['f'].adapters[0], nn.Conv2d) == adapts


def test_the_larger_map_is_averaged_down(tmp_path):
    terms = dict(f=feature('backbone.layer4', 'backbone.layer4'))
    model = distilled(tmp_path, wise=cnn(), terms=terms).train()
    data = batch()
    inputs = model.data_preprocessor(data, True)['inputs']
    with torch.no_grad():
        own = model.backbone(inputs['student'])[-1]
        wanted = model.teacher.model.backbone(inputs['teacher'])[-1]
    assert (own.shape[2:], wanted.shape[2:]) == ((2, 2), (4, 4))
    mean = sum(wanted[..., i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    assert forward(model, data)['distill_f_loss'].item() == pytest.approx(
        (own - mean).square().mean().item(), rel=1e-4
    )


@pytest.mark.parametrize(
    ('student', 'wise', 'tap', 'wise_tap'),
    [
        (vit(64), cnn(12), 'backbone.layers.1', 'backbone.layer4'),  # 4 × 4 tokens and cells
        (cnn(), vit(128), 'backbone.layer4', 'backbone.layers.1'),
        (vit(64), vit(128, 32), 'backbone', 'backbone'),  # class tokens
    ],
    ids=['cnn to vit', 'vit to cnn', 'vit to vit'],
)
def test_networks_of_other_kinds(tmp_path, student, wise, tap, wise_tap):
    terms = dict(kd=KD, f=feature(tap, wise_tap))
    model = distilled(tmp_path, student, wise, terms=terms, isrd=dict(weight=10.0))
    train(model, [batch()])
    total, logged = model.parse_losses(forward(model, batch(seed=1)))
    total.backward()
    for name in ('kd', 'f', 'isrd'):
        assert logged[f'distill_{name}_loss'] > 0
        assert 0 < logged[f'distill_{name}_share'] < 1
    assert {name for name, value in model.named_parameters() if value.grad is None} == set()


@pytest.mark.parametrize(
    ('backbone', 'tap', 'channels'),
    [
        (dict(type='ShuffleNetV2', widen_factor=0.5), 'backbone.conv1', 24),
        (dict(type='MobileNetV3', arch='small_050'), 'backbone.layer0', 16),
    ],
    ids=['ShuffleNetV2', 'MobileNetV3'],
)
def test_small_networks_have_a_stem(tmp_path, backbone, tap, channels):
    student = cnn()
    student['backbone'] = backbone
    student['head']['in_channels'] = 1024 if 'Shuffle' in backbone['type'] else 288
    model = distilled(tmp_path, student, isrd=dict(weight=10.0))
    assert model.distill['isrd'].student.path == tap
    assert model.distill['isrd'].conv.in_channels == channels
    train(model, [batch()])


@pytest.mark.parametrize('student, ratio', [(cnn(), 2), (vit(56), 4)], ids=['cnn', 'vit'])
def test_what_isrd_rebuilds_can_be_shown(tmp_path, student, ratio):
    model = distilled(tmp_path, student, ratio=ratio, terms={}, isrd=dict(weight=1.0))
    images = batch(ratio, side=224, number=2)['inputs']
    pictures = side_by_side(images, rebuild(model, images), bgr=True)
    assert [picture.shape for picture in pictures] == 2 * [(224, 3 * 224, 3)]


@pytest.mark.parametrize('ratio, enlarge', [(2, 2), (4, 2)])
def test_a_student_of_enlarged_images(tmp_path, ratio, enlarge):
    terms = dict(kd=KD, features=feature('backbone', 'backbone'))
    options = dict(ratio=ratio // enlarge, terms=terms, isrd=dict(weight=1.0))
    model = distilled(tmp_path, vit(128 * enlarge // ratio), **options)
    logs = train(model, [batch(ratio, enlarge=enlarge)])
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logs[0].values())
    shares = [value for name, value in logs[0].items() if name.endswith('_share')]
    assert len(shares) == 3 and all(share > 0 for share in shares)


def test_a_crop_must_suit_the_small_and_the_enlarged_image(tmp_path):
    model = distilled(tmp_path, ratio='3/2')
    low = LowResolution(4, enlarge='8/3')
    model.check_pipeline([CenterCrop(crop_size=228), low])
    with pytest.raises(ValueError, match='at ratio 4 and enlarge 8/3 .* multiples of 12'):
        model.check_pipeline([CenterCrop(crop_size=224), low])


@pytest.mark.parametrize('mean', [[120.0], [90.0, 100.0, 110.0, 120.0]], ids=['one', 'each'])
@pytest.mark.parametrize('student', [cnn(), vit(64)], ids=['cnn', 'vit'])
def test_images_of_four_channels(tmp_path, student, mean):
    networks = deepcopy(student), cnn(12)
    for network in networks:
        network['backbone']['in_channels'] = 4
        network['data_preprocessor'].update(mean=mean, std=[50.0] * len(mean))
    model = distilled(tmp_path, *networks, terms=dict(kd=KD), isrd=dict(weight=1.0))
    data = batch(channels=4)
    assert rebuild(model, data['inputs']).shape == (4, 4, 128, 128)
    ready = model.data_preprocessor(batch(channels=4), True)['inputs']
    expected = (data['inputs']['hr'] - torch.tensor(mean).view(-1, 1, 1)) / 50
    torch.testing.assert_close(ready['target'], expected)
    (logged,) = train(model, [data])
    assert all(value.isfinite() for value in logged.values())


def test_isrd_of_a_padded_vision_transformer(tmp_path):
    # 56 pixels are padded to 64: 4 × 4 patches, each of 64 large pixels, cropped to 224.
    model = distilled(tmp_path, vit(56), ratio=4, terms={}, isrd=dict(weight=50.0))
    isrd = model.distill['isrd']
    assert isrd.cell == 64 and isrd.conv.weight.shape == (3 * 64**2, 16, 1, 1)
    data = batch(4, side=224, number=1)
    ready = model.data_preprocessor(data, True)
    tokens, grid = model.backbone.patch_embed(ready['inputs']['student'])
    assert tuple(grid) == (4, 4)
    rebuilt = isrd.act(isrd.shuffle(isrd.conv(tokens.transpose(1, 2).reshape(1, 16, 4, 4))))
    distance = (rebuilt[..., :224, :224] - ready['inputs']['target']).abs().mean()
    assert forward(model, data)['distill_isrd_loss'].item() == pytest.approx(
        50 * distance.item(), rel=1e-5
    )


def test_a_preprocessor_beside_the_model_serves_both(tmp_path):
    student, wise = cnn(), cnn(12)
    beside = student.pop('data_preprocessor')
    del wise['data_preprocessor']
    sides = dict(teacher=dict(cfg=wise), terms=dict(kd=KD))
    model = build(distiller(student, data_preprocessor=deepcopy(beside), **sides))
    for side in (model.data_preprocessor.student, model.teacher.model.data_preprocessor):
        assert side.mean.flatten().tolist() == pytest.approx(beside['mean'])
        assert side.num_classes == beside['num_classes'] and side.to_rgb


def test_a_teachers_file_has_its_own_preprocessor_beside_the_model(tmp_path):
    wise = cnn(12)
    beside = wise.pop('data_preprocessor') | dict(mean=[1.0, 2.0, 3.0])
    file = tmp_path / 'teacher.py'
    file.write_text(f'model = {wise}\ndata_preprocessor = {beside}\n')
    model = build(distiller(cnn(), teacher=dict(cfg=str(file)), terms=dict(kd=KD)))
    assert model.teacher.model.data_preprocessor.mean.flatten().tolist() == [1.0, 2.0, 3.0]
    assert model.data_preprocessor.student.mean[0].item() == pytest.approx(123.675)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(wise=cnn(classes=7)), ValueError, 'num_classes=5, the teacher 7'),
        (
            dict(terms=dict(kd=dict(KD, teacher='backbone'))),
            ValueError,
            "logits are compared at 'head' of both",
        ),
        (
            dict(terms=dict(kd=feature('backbone', 'backbone', dict(type='KDLoss')))),
            TypeError,
            'KDLoss compares logits',
        ),
        (dict(student_weight=-1), ValueError, 'student_weight=-1'),
    ],
)
def test_what_is_refused(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        distilled(tmp_path, **options)


def test_networks_that_read_one_size_only(tmp_path):
    arch = dict(embed_dims=16, num_layers=1, tokens_mlp_dims=8, channels_mlp_dims=8)
    backbone = dict(type='MlpMixer', arch=arch, patch_size=16)
    neck = dict(type='GlobalAveragePooling', dim=1)
    mixer = dict(cnn(base=2), neck=neck, backbone=dict(backbone, img_size=128))
    model = distilled(tmp_path, wise=mixer)
    assert forward(model, batch(side=128))['distill_kd_loss'] > 0
    mixer = dict(mixer, backbone=dict(backbone, img_size=64))
    model = distilled(tmp_path, student=mixer)
    assert forward(model, batch(side=128))['distill_kd_loss'] > 0
    with pytest.raises(ValueError, match=r'128 and 64 pixels: .* shape \(64, 64\)'):
        distilled(tmp_path, student=mixer, wise=mixer)


@pytest.mark.parametrize('loss', ['ATLoss', 'ICKDLoss', 'ChannelWiseKLLoss'])
def test_losses_of_maps_do_not_compare_logits(tmp_path, loss):
    with pytest.raises(TypeError, match=f'{loss} compares feature maps, but .* for logits'):
        distilled(tmp_path, terms=dict(kd=dict(KD, loss=dict(type=loss))))


def test_a_margin_in_the_logits_is_refused(tmp_path):
    wise = dict(cnn(), head=dict(type='ArcFaceClsHead', num_classes=CLASSES, in_channels=64))
    with pytest.raises(TypeError, match='the head of the teacher is an ArcFaceClsHead'):
        distilled(tmp_path, wise=wise)
    assert distilled(tmp_path, wise=wise, terms=dict(f=feature('neck', 'neck'))).teacher


def test_several_labels_are_refused(tmp_path):
    student = cnn()
    student['head'] = dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=64)
    with pytest.raises(NotImplementedError, match='its images have several labels'):
        distilled(tmp_path, student)


def test_dkd_refuses_mixed_labels(tmp_path):
    student = dict(cnn(), train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)))
    loss = dict(type='DKDLoss')
    with pytest.raises(ValueError, match='DKDLoss needs one label for each image'):
        distilled(tmp_path, student, terms=dict(dkd=dict(KD, loss=loss)))


def test_both_tasks_in_one_process(tmp_path):
    from mmdet.registry import MODELS as DETECTORS
    from mmdet.utils import register_all_modules

    model = distilled(tmp_path, isrd=dict(weight=10.0))
    before = train(model, [batch()])[0]['loss'].item()
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmdet'
    backbone = dict(type='ResNet', depth=18)
    assert type(DETECTORS.build(backbone)).__module__.startswith('mmdet.')
    for name in ('AFPDistiller', 'PearsonLoss', 'KDLoss'):
        assert DETECTORS.get(name) is not None
    init_default_scope('mmpretrain')
    model = distilled(tmp_path, isrd=dict(weight=10.0))
    assert type(model.backbone).__module__.startswith('mmpretrain.')
    assert train(model, [batch()])[0]['loss'].item() == before


def test_detection_does_without_mmpretrain():
    code = (
        "import sys; sys.modules['mmpretrain'] = None\n"
        'import pd_mmdet; from mmdet.registry import MODELS, TRANSFORMS\n'
        "print(MODELS.get('AFPDistiller').__name__, TRANSFORMS.get('LowResolution').__name__)\n"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ['AFPDistiller', 'LowResolution']
