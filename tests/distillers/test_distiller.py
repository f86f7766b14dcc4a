"""Around what it adds, the distiller is the student alone."""

import random
from copy import deepcopy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models import RetinaNet
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import nn
from torch.nn.functional import pixel_unshuffle

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

TERMS = dict(pkd=PKD, cls=CLS, box=BOX)


def assistant(ratio=2):
    return dict(type='AFPDetector', detector=retinanet(), ratio=ratio)


@pytest.fixture
def teacher(tmp_path) -> dict:
    return dict(cfg=assistant(), checkpoint=save(assistant(), tmp_path / 'assistant.pth'))


def equal(own: dict, other: dict) -> bool:
    return own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)


def plain(state_dict: dict) -> dict:
    return {name: value for name, value in state_dict.items() if not name.startswith('distill.')}


# Invariant 5


@pytest.mark.parametrize('with_teacher', [False, True])
def test_without_terms_it_trains_as_the_plain_student_does(teacher, with_teacher):
    alone = build(retinanet())
    alone.init_weights()
    logs = train(alone, [batch(views=('lr',), seed=seed) for seed in range(4)])
    distilled = build(distiller(teacher=teacher if with_teacher else None))
    distilled.init_weights()
    distilled_logs = train(distilled, [batch(seed=seed) for seed in range(4)])
    assert equal(alone.state_dict(), distilled.state_dict())
    assert [log.keys() for log in logs] == [log.keys() for log in distilled_logs]
    assert [log['loss'] for log in logs] == [log['loss'] for log in distilled_logs]
    start = build(retinanet())
    start.init_weights()
    assert not equal(start.state_dict(), alone.state_dict())


def test_without_terms_a_batch_of_the_small_images_alone_is_enough():
    alone, distilled = build(retinanet()), build(distiller())
    train(alone, [batch(views=('lr',))])
    train(distilled, [batch(views=('lr',))])
    assert equal(alone.state_dict(), distilled.state_dict())


def random_state():
    return torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()


def test_building_it_moves_no_random_state_and_no_initial_weight(teacher):
    random.seed(0)
    alone = build(retinanet())
    built = random_state()
    alone.init_weights()
    initialised = random_state()
    wide = save(retinanet(first=8, channels=16), Path(teacher['checkpoint']).parent / 'wide.pth')
    for options in (
        dict(teacher=teacher),
        dict(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)),
        dict(
            teacher=dict(cfg=retinanet(first=8, channels=16), checkpoint=wide),
            terms=dict(pkd=PKD),
        ),
    ):
        random.seed(0)
        distilled = build(distiller(**options))
        assert random_state() == built
        distilled.init_weights()
        assert random_state() == initialised
        assert equal(plain(distilled.state_dict()), alone.state_dict())


def test_a_build_under_no_grad(teacher):
    with torch.no_grad():
        build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))


# A plain detector to everybody else


def test_it_is_the_student(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))
    alone = build(retinanet())
    assert isinstance(model, RetinaNet)
    assert equal(plain(model.state_dict()), alone.state_dict())
    assert [name for name, _ in model.named_parameters() if not name.startswith('distill.')] == [
        name for name, _ in alone.named_parameters()
    ]
    alone.load_state_dict(plain(model.state_dict()), strict=True)
    assert {name for name in model.state_dict() if name.startswith('distill.')} == {
        'distill.isrd.conv.weight',
        'distill.isrd.conv.bias',
        'distill.isrd.act.weight',
    }


def test_a_distilled_assistant_is_a_plain_detector_too(tmp_path):
    big = retinanet(first=8)
    teacher = dict(cfg=big, checkpoint=save(big, tmp_path / 'teacher.pth'))
    model = build(distiller(assistant(), view='hr', teacher=teacher, terms=dict(pkd=PKD)))
    model.init_weights()
    logs = train(model, [batch(views=('hr',), seed=seed) for seed in range(2)])
    assert logs[0]['distill_pkd_loss'] > 0
    assert build(retinanet()).state_dict().keys() == model.state_dict().keys()


def test_it_predicts_what_the_plain_detector_predicts(teacher):
    alone, model = build(retinanet()), build(distiller(teacher=teacher, terms=TERMS))
    for detector in (alone, model):
        detector.test_cfg.score_thr = 0.0
        detector.eval()
    with torch.no_grad():
        expected = alone.test_step(batch(views=('lr',)))
        from_small = model.test_step(batch(views=('lr',)))
        from_both = model.test_step(batch())
    for found in (from_small, from_both):
        for own, wanted in zip(found, expected, strict=True):
            assert len(wanted.pred_instances) > 0
            assert equal(dict(own.pred_instances.items()), dict(wanted.pred_instances.items()))


# What it adds


def test_losses_and_shares_are_logged(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=0.5)))
    losses = forward(model, batch())
    total, log = model.parse_losses(losses)
    names = ['pkd', 'cls', 'box', 'isrd']
    assert [name for name in losses if name.startswith('distill')] == [
        f'distill_{name}_loss' for name in names
    ]
    own = sum(sum(losses[name]) for name in ('loss_cls', 'loss_bbox'))
    added = sum(losses[f'distill_{name}_loss'] for name in names)
    assert total.item() == pytest.approx((own + added).item())
    for name in names:
        share = losses[f'distill_{name}_loss'] / total
        assert log[f'distill_{name}_share'].item() == pytest.approx(share.item())
    assert 0 < sum(log[f'distill_{name}_share'] for name in names) < 1


def test_a_term_that_is_none_is_left_out(teacher):
    model = build(distiller(teacher=teacher, terms=dict(TERMS, cls=None, box=None)))
    added = [name for name in forward(model, batch()) if name.startswith('distill')]
    assert added == ['distill_pkd_loss']


def test_every_module_of_it_trains(tmp_path):
    wide = retinanet(first=8, channels=16)
    teacher = dict(cfg=wide, checkpoint=save(wide, tmp_path / 'wide.pth'))
    model = build(distiller(teacher=teacher, terms=dict(pkd=PKD), isrd=dict(weight=1.0)))
    model.init_weights()
    before = deepcopy(model.state_dict())
    train(model, [batch(seed=seed) for seed in range(2)])
    after = model.state_dict()
    trained = [name for name in before if name.startswith('distill.')]
    assert 'distill.pkd.adapters.0.weight' in trained and 'distill.isrd.conv.weight' in trained
    assert not [name for name in trained if torch.equal(before[name], after[name])]


def test_terms_change_the_student(teacher):
    everywhere = dict(BOX, loss=dict(type='DenseHeadBoxLoss', score_thr=0.0))
    results = []
    for terms in (None, dict(pkd=PKD), dict(cls=CLS), dict(box=everywhere)):
        model = build(distiller(teacher=teacher, terms=terms))
        model.init_weights()
        train(model, [batch()])
        results.append(model.state_dict()['backbone.conv1.weight'])
    assert not any(torch.equal(results[0], other) for other in results[1:])


def test_isrd_needs_no_teacher():
    model = build(distiller(isrd=dict(weight=1.0)))
    losses = forward(model, batch())
    assert losses['distill_isrd_loss'] > 0


@pytest.mark.parametrize('tap, stride', [(None, 2), ('backbone.layer1', 4), ('neck[0]', 4)])
def test_isrd_at_other_places(tap, stride):
    options = dict(weight=1.0) | (dict(tap=tap) if tap else {})
    model = build(distiller(isrd=options))
    assert model.distill['isrd'].cell == 2 * stride
    model.init_weights()
    before = model.distill['isrd'].conv.weight.clone()
    train(model, [batch()])
    assert not torch.equal(before, model.distill['isrd'].conv.weight)


def test_isrd_rebuilds_the_large_image_in_the_students_normalisation():
    """A module that answers with the exact image has no loss."""
    model = build(distiller(isrd=dict(weight=3.0)))
    data = model.data_preprocessor(batch(), True)
    alone = build(retinanet()).data_preprocessor
    target = alone(batch(views=('hr',)), True)['inputs']
    module = model.distill['isrd']
    nn.init.ones_(module.act.weight)
    cells = pixel_unshuffle(target, 4)  # what the convolution has to answer
    module.conv.forward = lambda feature: cells
    assert model(**data, mode='loss')['distill_isrd_loss'] == 0
    module.conv.forward = lambda feature: cells + 1
    assert model(**data, mode='loss')['distill_isrd_loss'].item() == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize('ratio', ['3/2', 2, 4])
def test_ratios(tmp_path, ratio):
    cfg = assistant(ratio)
    model = build(
        distiller(
            ratio=ratio,
            teacher=dict(cfg=cfg, checkpoint=save(cfg, tmp_path / 'assistant.pth')),
            terms=dict(TERMS, pkd=dict(PKD, teacher='neck.afp')),
            isrd=dict(weight=1.0),
        )
    )
    model.init_weights()
    logs = train(model, [batch(ratio=ratio, seed=seed) for seed in range(2)])
    assert all(np.isfinite(log['loss'].item()) for log in logs)


@pytest.mark.parametrize(
    ('ratio', 'enlarge', 'afp'),
    [(2, 2, True), (2, 2, False), ('3/2', 1.5, False), (4, 2, True), (3, 2, True)],
)
def test_a_student_of_enlarged_images(tmp_path, ratio, enlarge, afp):
    """At ratio 1 of the views any detector answers for the student's cells."""
    views = Fraction(ratio) / Fraction(enlarge)
    cfg = assistant(views) if afp else retinanet()
    model = build(
        distiller(
            ratio=str(views),
            teacher=dict(cfg=cfg, checkpoint=save(cfg, tmp_path / 'assistant.pth')),
            terms=dict(TERMS, pkd=dict(PKD, teacher='neck.afp' if afp else 'neck')),
            isrd=dict(weight=1.0),
        )
    )
    model.init_weights()
    logs = train(model, [batch(ratio, seed=seed, enlarge=enlarge) for seed in range(2)])
    assert all(np.isfinite(log['loss'].item()) for log in logs)
    shares = [value for name, value in logs[0].items() if name.endswith('_share')]
    assert len(shares) == 4 and all(share > 0 for share in shares)


def test_at_ratio_1_a_teacher_of_the_same_weights_that_reads_lr_has_nothing_to_teach(tmp_path):
    """And one that reads hr has: the views have equal sizes, but not equal pixels."""
    checkpoint = save(retinanet(), tmp_path / 'same.pth', seed=0)
    data = batch(2, enlarge=2)
    losses = {}
    for view in ('lr', 'hr'):
        teacher = dict(cfg=retinanet(), checkpoint=checkpoint, view=view)
        model = build(distiller(ratio=1, teacher=teacher, terms=TERMS)).eval()
        model.load_state_dict(torch.load(checkpoint)['state_dict'], strict=False)
        model.teacher.load()
        losses[view] = [forward(model, data)[f'distill_{name}_loss'].item() for name in TERMS]
    assert losses['lr'] == pytest.approx([0, 0, 0], abs=1e-6)
    assert min(losses['hr']) > 1e-6


def test_at_ratio_1_isrd_sharpens():
    """Its target is hr, as large as lr, pixel by pixel: a cell of the stem has 2 × 2 pixels."""
    model = build(distiller(ratio=1, isrd=dict(weight=3.0)))
    data = model.data_preprocessor(batch(2, enlarge=2), True)
    lr, target = data['inputs']['student'], data['inputs']['target']
    assert lr.shape == target.shape and not torch.equal(lr, target)
    module = model.distill['isrd']
    nn.init.ones_(module.act.weight)
    module.conv.forward = lambda feature: pixel_unshuffle(target, 2)
    assert model(**data, mode='loss')['distill_isrd_loss'] == 0


def test_images_without_objects(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))
    data = batch()
    for sample in data['data_samples']:
        sample.gt_instances = sample.gt_instances[:0]
    assert all(torch.isfinite(torch.as_tensor(log)) for log in train(model, [data])[0].values())


# Copies


def test_ema_copies_the_student_and_shares_the_teacher(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))
    average = ExponentialMovingAverage(model)
    assert type(average.module) is type(model)
    assert average.module.teacher is model.teacher
    assert average.module.backbone.conv1.weight is not model.backbone.conv1.weight
    assert not any('teacher' in name for name in average.state_dict())
    assert len(list(average.module.parameters())) == len(list(model.parameters()))
    average.module.eval()
    assert len(average.module.test_step(batch(views=('lr',)))) == 2


# Bad input


@pytest.mark.parametrize(
    'options, told',
    [
        (dict(ratio=0.5), 'ratio must be'),
        (dict(view='small'), "view='small': must be 'hr' or 'lr'"),
        (dict(view='hr', teacher=dict(cfg=retinanet(), view='lr')), "set teacher.view='hr'"),
        (dict(student=assistant()), "the student is an AFPDetector, .* but view='lr'"),
        (dict(terms=dict(pkd=PKD)), r"terms=\['pkd'\] need a teacher"),
        (dict(isrd=dict(weight=1.0, ratio=2)), 'write isrd='),
        (dict(isrd=dict(tap='neck')), 'write isrd='),
        (dict(isrd=dict()), 'write isrd='),
        (dict(isrd=dict(weight=1.0, tap='neck[7]')), "tap 'neck' has 3 levels"),
        (dict(isrd=dict(weight=1.0), view='hr'), "view='lr' \\(here 'hr'\\)"),
        (dict(isrd=dict(weight=1.0, tap='backbone.rele')), 'backbone.relu'),
    ],
)
def test_options_that_are_none(options, told):
    with pytest.raises(ValueError, match=told):
        build(distiller(**options))


def test_a_frozen_stem_refuses_isrd():
    student = retinanet()
    student.backbone.frozen_stages = 1
    with pytest.raises(ValueError, match=r"'backbone.relu'.*frozen_stages=-1"):
        build(distiller(student, isrd=dict(weight=1.0)))
    build(distiller(student, isrd=dict(weight=1.0, tap='neck[0]')))


def test_a_batch_that_lacks_a_view(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS))
    with pytest.raises(ValueError, match=r"LowResolution\(views=\('hr', 'lr'\)\)"):
        forward(model, batch(views=('lr',)))


def test_a_batch_of_another_ratio(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS))
    with pytest.raises(ValueError, match='ratio is 4.*LowResolution'):
        forward(model, batch(ratio=4))


def test_loss_in_autocast_keeps_the_terms_finite(teacher):
    model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = forward(model, batch())
    assert all(losses[f'distill_{name}_loss'].isfinite() for name in (*TERMS, 'isrd'))


def test_activation_checkpointing_of_a_tapped_module():
    model = build(distiller(isrd=dict(weight=1.0)))
    turn_on_activation_checkpointing(model, ['backbone'])
    message = "tap 'backbone.relu' of the student has no gradient .*activation_checkpointing"
    with pytest.raises(RuntimeError, match=message):
        forward(model.train(), batch())


@pytest.mark.parametrize(
    'tap, parameters',
    [
        ('backbone.relu', 3),  # of conv1 and bn1
        ('backbone.layer1', 3 + 2 * 6),
    ],
)
def test_what_a_hook_has_frozen_since(tap, parameters):
    model = build(distiller(isrd=dict(weight=1.0, tap=tap))).train()
    for part in (model.backbone.conv1, model.backbone.bn1, model.backbone.layer1):
        part.requires_grad_(False)
    message = f"tap '{tap}' of the student .*: all {parameters} parameters before it have been froz"
    with pytest.raises(RuntimeError, match=message):
        forward(model, batch())


def test_a_neck_behind_a_frozen_backbone_learns_until_it_is_frozen_too(teacher):
    model = build(distiller(teacher=teacher, terms=dict(pkd=PKD))).train()
    model.backbone.requires_grad_(False)
    forward(model, batch())
    model.neck.requires_grad_(False)
    frozen = len([*model.backbone.parameters(), *model.neck.parameters()])
    with pytest.raises(RuntimeError, match=f"tap 'neck' .*: all {frozen} parameters before it"):
        forward(model, batch())
