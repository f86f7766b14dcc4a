"""A teacher is seen by nobody, does no more than it must, and is what its checkpoint says."""

import hashlib
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper

from pd_mmdet.distillers.teacher import Teacher
from tests.helpers.hostile import Touch
from tests.helpers.tiny import (
    BOX,
    CLS,
    PKD,
    batch,
    build,
    distiller,
    forward,
    retinanet,
    save,
    train,
)

R18 = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'


@pytest.fixture
def checkpoint(tmp_path) -> str:
    return save(retinanet(first=8), tmp_path / 'teacher.pth')


@pytest.fixture
def model(checkpoint):
    teacher = dict(cfg=retinanet(first=8), checkpoint=checkpoint)
    model = build(distiller(teacher=teacher, terms=dict(pkd=PKD, cls=CLS)))
    model.init_weights()
    return model


def weights(model) -> dict:
    return deepcopy(model.teacher.model.state_dict())


def same(own, other) -> bool:
    return own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)


# Seen by nobody


def test_it_is_in_no_list_of_the_model(model):
    teacher = model.teacher.model
    own = [*teacher.parameters(), *teacher.buffers()]
    places = {tensor.data_ptr() for tensor in own if tensor.numel()}
    assert len(places) > 50
    optim_wrapper = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    )
    average = ExponentialMovingAverage(model, update_buffers=True)
    for tensors in (
        model.parameters(),
        model.buffers(),
        model.state_dict().values(),
        [value for group in optim_wrapper.param_groups for value in group['params']],
        average.parameters(),
        average.state_dict().values(),
    ):
        assert not places & {tensor.data_ptr() for tensor in tensors}
    assert not any('teacher' in name for name, _ in model.named_modules() if 'paired' not in name)


def test_it_follows_casts_and_moves(model):
    model.double()
    assert {value.dtype for value in model.teacher.model.parameters()} == {torch.float64}
    assert model.teacher.model.backbone.bn1.running_mean.dtype == torch.float64
    assert {value.dtype for value in model.distill.parameters()} <= {torch.float64}
    model.to(torch.float32)
    assert {value.dtype for value in model.teacher.model.parameters()} == {torch.float32}
    model.to('meta')
    assert {value.device.type for value in model.teacher.model.parameters()} == {'meta'}


def test_it_stays_frozen_and_in_eval(model):
    before = weights(model)
    model.train()
    teacher = model.teacher.model
    assert not any(value.requires_grad for value in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    model.requires_grad_(True)
    train(model, [batch()])
    assert not any(value.requires_grad for value in teacher.parameters())
    assert same(weights(model), before)
    assert all(value.grad is None for value in teacher.parameters())


def test_it_runs_once_a_step_without_gradients_and_inside_autocast(model):
    seen = []
    model.teacher.model.neck.register_forward_hook(
        lambda module, args, output: seen.append((torch.is_grad_enabled(), output[0].dtype))
    )
    forward(model, batch())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        forward(model, batch())
    assert seen == [(False, torch.float32), (False, torch.bfloat16)]


# No more than it must


def calls(model) -> list[str]:
    """Modules of the teacher that run in one training step."""
    ran = []
    for name, module in model.teacher.model.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    model.teacher.model.bbox_head.loss = None
    forward(model, batch())
    return ran


def head_and_neck(cfg, **terms):
    return build(distiller(teacher=dict(cfg=cfg), terms=terms))


def test_it_computes_nothing_behind_the_last_place_that_a_term_reads():
    cfg = retinanet(first=8)
    assert not [name for name in calls(head_and_neck(cfg, pkd=PKD)) if 'bbox_head' in name]
    early = dict(PKD, student='backbone.layer1', teacher='backbone.layer2')
    ran = calls(head_and_neck(cfg, pkd=early))
    assert 'backbone.layer2.1' in ran and not [name for name in ran if 'layer3' in name]
    assert not [name for name in ran if name.startswith(('neck', 'bbox_head'))]
    ran = calls(head_and_neck(cfg, pkd=PKD, cls=CLS))
    assert ran.count('neck') == ran.count('bbox_head') == 1


def test_it_does_not_run_for_no_term_nor_in_testing(model):
    without = build(distiller(teacher=dict(cfg=retinanet(first=8))))
    assert calls(without) == []
    for name, module in model.teacher.model.named_modules():
        module.register_forward_hook(lambda *_, name=name: pytest.fail(f'{name} ran'))
    model.eval()
    model.test_step(batch())
    model.val_step(batch(views=('lr',)))


# What its configuration says


def test_a_config_file_is_read(checkpoint, tmp_path):
    Config(dict(model=retinanet(first=8), other=1)).dump(tmp_path / 'teacher.py')
    teacher = dict(cfg=str(tmp_path / 'teacher.py'), checkpoint=checkpoint)
    model = build(distiller(teacher=teacher, terms=dict(pkd=PKD)))
    model.init_weights()
    assert same(weights(model), torch.load(checkpoint)['state_dict'])


def test_of_a_distillers_config_and_checkpoint_the_student_is_taken(tmp_path):
    """Stage 2 may name the config file of stage 1."""
    wide = retinanet(first=8, channels=16)
    stage_1 = distiller(
        dict(type='AFPDetector', detector=retinanet(), ratio=2),
        view='hr',
        teacher=dict(cfg=wide),
        terms=dict(pkd=PKD),
    )
    Config(dict(model=stage_1)).dump(tmp_path / 'assistant.py')
    checkpoint = save(stage_1, tmp_path / 'assistant.pth')
    saved = torch.load(checkpoint)['state_dict']
    assert any(name.startswith('distill.pkd.adapters') for name in saved)
    teacher = dict(cfg=str(tmp_path / 'assistant.py'), checkpoint=checkpoint)
    model = build(distiller(teacher=teacher, terms=dict(pkd=dict(PKD, teacher='neck.afp'))))
    model.init_weights()
    plain = {name: value for name, value in saved.items() if not name.startswith('distill.')}
    assert same(weights(model), plain)


def test_a_config_of_mmdetection_is_read(tmp_path):
    student = retinanet(classes=80)
    model = build(distiller(student, teacher=dict(cfg=R18), terms=dict(pkd=PKD)))
    assert model.teacher.model.backbone.depth == 18
    # Strides 8 to 128 of the large image are 4 to 64 of the small one.
    assert model.distill['pkd'].pairs == [(0, 0), (1, 1), (2, 2)]
    assert model.distill['pkd'].adapters[0].weight.shape[:2] == (256, 8)
    with pytest.raises(ValueError, match='num_classes=3, the teacher 80'):
        build(distiller(teacher=dict(cfg=R18), terms=dict(pkd=PKD)))


@pytest.mark.parametrize('cfg', ['nowhere/teacher.py', 'mmdet::retinanet/retinanet_r17.py'])
def test_a_missing_config_matters_to_training_only(cfg):
    model = build(
        distiller(teacher=dict(cfg=cfg), terms=dict(pkd=PKD, box=BOX), isrd=dict(weight=1.0))
    )
    model.eval()
    assert len(model.test_step(batch(views=('lr',)))) == 2
    with pytest.raises(FileNotFoundError, match=Path(cfg).stem):
        model.init_weights()


# What its checkpoint says


def test_testing_never_opens_the_checkpoint():
    model = build(
        distiller(teacher=dict(cfg=retinanet(first=8), checkpoint='none.pth'), terms=dict(pkd=PKD))
    )
    model.eval()
    model.test_step(batch(views=('lr',)))
    with pytest.raises(FileNotFoundError) as error:
        model.init_weights()
    for part in (
        "teacher.checkpoint='none.pth'",
        str(Path('none.pth').absolute()),
        'previous stage',
    ):
        assert part in str(error.value)


def test_no_checkpoint_is_named():
    model = build(distiller(teacher=dict(cfg=retinanet(first=8)), terms=dict(pkd=PKD)))
    with pytest.raises(FileNotFoundError, match='teacher.checkpoint=None'):
        model.init_weights()


@pytest.mark.parametrize('wrap', [False, True])
def test_bare_weights_and_those_of_a_wrapped_model(tmp_path, wrap):
    state_dict = build(retinanet(first=8), seed=5).state_dict()
    named = {f'module.{name}' if wrap else name: value for name, value in state_dict.items()}
    torch.save(named, tmp_path / 'bare.pth')
    teacher = dict(cfg=retinanet(first=8), checkpoint=str(tmp_path / 'bare.pth'))
    model = build(distiller(teacher=teacher))
    assert not same(weights(model), state_dict)
    model.init_weights()
    assert same(weights(model), state_dict)


def unfit(checkpoint: str, change) -> str:
    content = torch.load(checkpoint)
    change(content['state_dict'])
    torch.save(content, checkpoint)
    teacher = dict(cfg=retinanet(first=8), checkpoint=checkpoint)
    model = build(distiller(teacher=teacher, terms=dict(pkd=PKD)))
    before = weights(model)
    with pytest.raises(ValueError) as error:
        model.init_weights()
    assert same(weights(model), before)
    assert checkpoint in str(error.value)
    return str(error.value)


def test_missing_and_unexpected_weights_are_listed(checkpoint):
    def rename(state_dict):
        state_dict['backbone.stem.weight'] = state_dict.pop('backbone.conv1.weight')

    message = unfit(checkpoint, rename)
    assert '1 missing: backbone.conv1.weight' in message
    assert '1 unexpected: backbone.stem.weight' in message


def test_long_lists_are_cut(checkpoint):
    message = unfit(checkpoint, lambda state_dict: state_dict.clear())
    total = len(build(retinanet(first=8)).state_dict())
    assert f'{total} missing: ' in message and '…' in message and len(message) < 1000


def test_weights_of_another_shape_are_listed(checkpoint):
    def reshape(state_dict):
        state_dict['neck.fpn_convs.0.conv.weight'] = torch.zeros(4, 8, 3, 3)

    message = unfit(checkpoint, reshape)
    assert '1 of another shape: neck.fpn_convs.0.conv.weight (4, 8, 3, 3) instead of' in message
    assert 'number of classes' not in message


def test_a_checkpoint_of_other_classes(tmp_path):
    checkpoint = save(retinanet(first=8, classes=5), tmp_path / 'five.pth')
    message = unfit(checkpoint, lambda state_dict: None)
    assert 'bbox_head.retina_cls.weight' in message and 'number of classes' in message


def test_a_hostile_checkpoint_is_refused_and_not_run(checkpoint, tmp_path):
    content = torch.load(checkpoint)
    content['meta']['extra'] = Touch(tmp_path / 'trace')
    torch.save(content, checkpoint)
    teacher = dict(cfg=retinanet(first=8), checkpoint=checkpoint)
    model = build(distiller(teacher=teacher, terms=dict(pkd=PKD)))
    with pytest.raises(ValueError, match='plain data'):
        model.init_weights()
    assert not (tmp_path / 'trace').exists()


def test_the_fingerprint_is_that_of_the_weights(checkpoint, tmp_path):
    def fingerprint(path):
        model = build(distiller(teacher=dict(cfg=retinanet(first=8), checkpoint=str(path))))
        assert model.teacher.fingerprint is None
        model.init_weights()
        return model.teacher.fingerprint

    own = fingerprint(checkpoint)
    assert len(own) == hashlib.sha256().digest_size * 2
    content = torch.load(checkpoint)
    torch.save(dict(content, meta=dict(epoch=3)), tmp_path / 'copy.pth')
    assert fingerprint(tmp_path / 'copy.pth') == own
    content['state_dict']['neck.fpn_convs.0.conv.bias'][0] += 1e-6
    torch.save(content, tmp_path / 'changed.pth')
    assert fingerprint(tmp_path / 'changed.pth') != own


def test_a_copy_shares_it(model):
    assert isinstance(model.teacher, Teacher)
    assert deepcopy(model).teacher is model.teacher
