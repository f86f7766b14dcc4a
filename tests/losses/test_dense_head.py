import mmdet.models  # noqa: F401  (registers the heads)
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps

from pd_mmdet.losses import (
    DenseHeadBoxLoss,
    DenseHeadClsLoss,
    DenseHeadDistributionLoss,
    dense_head,
)

CLASSES, STRIDES, SIZES, BATCH = 3, [8, 16, 32], [(5, 7), (3, 4), (2, 2)], 2
ANCHORS = dict(type='AnchorGenerator', strides=STRIDES)
ONE_ANCHOR = dict(ANCHORS, ratios=[1.0], octave_base_scale=8, scales_per_octave=1)
NORM = dict(type='GN', num_groups=2, requires_grad=True)
SMALL = dict(num_classes=CLASSES, in_channels=4, feat_channels=4, stacked_convs=1)
CFGS = dict(
    retina=dict(
        SMALL,
        type='RetinaHead',
        anchor_generator=dict(
            ANCHORS, octave_base_scale=4, scales_per_octave=2, ratios=[0.5, 1.0, 2.0]
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
    ),
    softmax=dict(
        SMALL,
        type='RetinaHead',
        anchor_generator=ONE_ANCHOR,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False),
    ),
    atss=dict(
        SMALL,
        type='ATSSHead',
        norm_cfg=NORM,
        anchor_generator=ONE_ANCHOR,
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
    ),
    gfl=dict(SMALL, type='GFLHead', norm_cfg=NORM, anchor_generator=ONE_ANCHOR, reg_max=6),
)
LEVELS = [0, 2]


def build(name):
    torch.manual_seed(0)
    return MODELS.build(CFGS[name])


def outputs(head, seed, levels=LEVELS):
    """The head's outputs for random features, with noise: confidences from near 0 to near 1."""
    generator = torch.Generator().manual_seed(seed)
    features = [torch.randn(BATCH, 4, *size, generator=generator) for size in SIZES]
    with torch.no_grad():
        outs = head(features)
    for level_map in outs[0]:
        level_map += 2 * torch.randn(level_map.shape, generator=generator) - 3
    for level_map in outs[1]:
        level_map += torch.randn(level_map.shape, generator=generator)
    return [[maps[level].requires_grad_() for level in levels] for maps in outs]


def rows(maps, channels):
    """Prior by prior, written as loops over levels and images and a reshape."""
    return torch.cat(
        [image.permute(1, 2, 0).reshape(-1, channels) for level in maps for image in level]
    )


def confidence(head, maps):
    scores = rows(maps, head.cls_out_channels).detach()
    if head.use_sigmoid_cls:
        return scores.sigmoid().max(1).values
    return scores.softmax(1)[:, :-1].sum(1)


def priors(head, levels):
    all_levels = head.prior_generator.grid_priors(SIZES, device='cpu')
    return torch.cat([all_levels[level] for level in levels for _ in range(BATCH)])


def boxes(head, maps, levels):
    if not hasattr(head, 'reg_max'):
        return head.bbox_coder.decode(priors(head, levels), rows(maps, 4))
    distances = []
    for level_map, level in zip(maps, levels, strict=True):
        bins = rows([level_map], head.reg_max + 1).softmax(1)
        expected = sum(i * bins[:, i] for i in range(head.reg_max + 1))
        distances.append(expected.view(-1, 4) * STRIDES[level])
    x1, y1, x2, y2 = priors(head, levels).unbind(1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top, right, bottom = torch.cat(distances).unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], 1)


def grad(maps):
    return sum(m.grad.abs().sum().item() for m in maps if m.grad is not None)


@pytest.mark.parametrize('name', ['retina', 'atss', 'gfl'])
def test_sigmoid_classes_agree_with_mmdet_quality_focal_loss(name):
    head = build(name)
    student, teacher = outputs(head, 1), outputs(head, 2)
    reference = MODELS.build(dict(type='QualityFocalLoss', beta=1.5))(
        rows(student[0], CLASSES),
        rows(teacher[0], CLASSES).sigmoid(),
        avg_factor=max(1, confidence(head, teacher[0]).square().sum().item()),
    )
    expected_grad = torch.autograd.grad(reference, student[0])
    loss = DenseHeadClsLoss(beta=1.5)(head, student, teacher, LEVELS)
    torch.testing.assert_close(loss, reference)
    loss.backward()
    torch.testing.assert_close([m.grad for m in student[0]], list(expected_grad))


def test_softmax_classes_are_compared_by_divergence():
    head = build('softmax')
    assert head.cls_out_channels == CLASSES + 1
    student, teacher = outputs(head, 1), outputs(head, 2)
    p = rows(teacher[0], CLASSES + 1).softmax(1).detach().double().numpy()
    q = rows(student[0], CLASSES + 1).softmax(1).detach().double().numpy()
    divergence = (p * np.log(p / q)).sum() / (CLASSES + 1)
    normaliser = max(1, ((1 - p[:, -1]) ** 2).sum())
    loss = DenseHeadClsLoss()(head, student, teacher, LEVELS)
    np.testing.assert_allclose(loss.item(), divergence / normaliser, rtol=1e-5)


def test_background_priors_do_not_outweigh_the_objects():
    # 10,000 background priors at 0.01 and 4 objects at 0.9; the student misses the objects.
    logit = torch.tensor([0.01, 0.9]).logit()
    teacher = logit[0].repeat(1, 1, 100, 100)
    teacher[..., 0, :4] = logit[1]
    student = logit[0].repeat(1, 1, 100, 100)
    head = MODELS.build(dict(CFGS['atss'], num_classes=1))
    loss = DenseHeadClsLoss()(head, [[student]], [[teacher]], [0])
    entropy = -(0.9 * np.log(0.01) + 0.1 * np.log(0.99))
    normaliser = 4 * 0.9**2 + 9996 * 0.01**2
    np.testing.assert_allclose(loss, 4 * entropy * 0.89**2 / normaliser, rtol=1e-4)


@pytest.mark.parametrize(
    ('name', 'score_thr'), [(n, 0.95 if n == 'softmax' else 0.2) for n in CFGS]
)
def test_boxes_agree_with_mmdet_generalised_iou(name, score_thr):
    head = build(name)
    student, teacher = outputs(head, 1), outputs(head, 2)
    weight = confidence(head, teacher[0])
    assert 10 < (weight < score_thr).sum() < len(weight) - 10
    weight[weight < score_thr] = 0
    overlaps = bbox_overlaps(
        boxes(head, student[1], LEVELS), boxes(head, teacher[1], LEVELS), 'giou', is_aligned=True
    )
    expected = ((1 - overlaps) * weight).sum() / max(1, weight.sum())
    loss = DenseHeadBoxLoss(score_thr)(head, student, teacher, LEVELS)
    torch.testing.assert_close(loss, expected)


def test_box_loss_of_one_prior_by_hand():
    # One cell with one anchor of 64 x 64; the teacher keeps it, the student halves its width:
    # IoU 1/2, and the smallest enclosing box is the anchor: GIoU 1/2. Confidence: 3 / (3 + 1).
    head = MODELS.build(dict(CFGS['softmax'], num_classes=1))
    logits = torch.tensor([np.log(3), 0]).view(1, 2, 1, 1)
    teacher = [[logits], [torch.zeros(1, 4, 1, 1)]]
    student = [[logits], [torch.tensor([0, 0, np.log(0.5), 0]).view(1, 4, 1, 1)]]
    loss = DenseHeadBoxLoss()(head, student, teacher, [0])
    np.testing.assert_allclose(loss, 0.75 * 0.5, rtol=1e-5)  # the weights' sum, 3/4, counts as 1


@pytest.mark.parametrize('iou_loss', ['IoULoss', 'DIoULoss', 'CIoULoss'])
def test_other_iou_losses_of_mmdet_can_be_chosen(iou_loss):
    head = build('atss')
    student, teacher = outputs(head, 1), outputs(head, 2)
    loss = DenseHeadBoxLoss(iou_loss=dict(type=iou_loss))(head, student, teacher, LEVELS)
    assert loss > 0
    assert loss != DenseHeadBoxLoss()(head, student, teacher, LEVELS)


def test_distributions_are_compared_by_divergence():
    head = build('gfl')
    student, teacher = outputs(head, 1), outputs(head, 2)
    weight = confidence(head, teacher[0])
    weight[weight < 0.1] = 0
    temperature, bins = 5, head.reg_max + 1
    p = (rows(teacher[1], bins) / temperature).softmax(1)
    q = (rows(student[1], bins) / temperature).softmax(1)
    divergence = (p * (p / q).log()).mean(1).view(-1, 4).mean(1) * temperature**2
    expected = (divergence * weight).sum() / max(1, weight.sum())
    loss = DenseHeadDistributionLoss(T=temperature)(head, student, teacher, LEVELS)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


LOSSES = [
    ('retina', DenseHeadClsLoss),
    ('softmax', DenseHeadClsLoss),
    ('retina', DenseHeadBoxLoss),
    ('gfl', DenseHeadBoxLoss),
    ('gfl', DenseHeadDistributionLoss),
]


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_equal_outputs_cost_nothing(name, loss):
    head = build(name)
    student = outputs(head, 1)
    value = loss()(head, student, student, LEVELS)
    torch.testing.assert_close(value, torch.tensor(0.0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_gradient_reaches_the_student_only(name, loss):
    head = build(name)
    student, teacher = outputs(head, 1), outputs(head, 2)
    loss()(head, student, teacher, LEVELS).backward()
    read = 0 if loss is DenseHeadClsLoss else 1
    assert grad(student[read]) > 0
    assert grad(student[1 - read]) == 0
    assert grad(teacher[0]) == grad(teacher[1]) == 0
    assert all(p.grad is None for p in head.parameters())


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_autocast_changes_nothing(name, loss):
    head = build(name)
    student, teacher = outputs(head, 1), outputs(head, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = loss()(head, student, teacher, LEVELS)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, loss()(head, student, teacher, LEVELS))


@pytest.mark.parametrize('loss', [DenseHeadBoxLoss, DenseHeadDistributionLoss])
def test_priors_below_the_threshold_do_not_count(loss):
    head = build('gfl')
    student, teacher = outputs(head, 1), outputs(head, 2)
    for level in teacher[0]:
        level.data.fill_(-3)  # 0.047
    teacher[0][1].data[0, 1, 0, 1] = 2
    loss()(head, student, teacher, LEVELS).backward()
    touched = [level.grad.abs().sum(1).nonzero().tolist() for level in student[1]]
    assert touched == [[], [[0, 0, 1]]]


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_the_normaliser_is_shared_between_processes(name, loss, monkeypatch):
    head = build(name)
    student, teacher = outputs(head, 1), outputs(head, 2)
    for level in teacher[0]:
        level.data += 3  # so that the sums are above 1, where the normaliser is the sum
    alone = loss()(head, student, teacher, LEVELS)
    monkeypatch.setattr(dense_head, 'reduce_mean', lambda value: 2 * value)
    torch.testing.assert_close(loss()(head, student, teacher, LEVELS), alone / 2)


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_refuses_sides_of_different_shape(name, loss):
    head = build(name)
    student, teacher = outputs(head, 1), outputs(head, 2)
    teacher = [[m[..., 1:] for m in maps] for maps in teacher]
    with pytest.raises(ValueError, match=r'level 0: .*\(2, \d+, 5, 7\).*\(2, \d+, 5, 6\)'):
        loss()(head, student, teacher, LEVELS)


@pytest.mark.parametrize('name', CFGS)
def test_heads_on_fixed_priors_are_served(name):
    DenseHeadClsLoss().check_head(build(name))
    DenseHeadBoxLoss().check_head(build(name))


@pytest.mark.parametrize('loss', [DenseHeadClsLoss, DenseHeadBoxLoss, DenseHeadDistributionLoss])
@pytest.mark.parametrize('head_type', ['TOODHead', 'FCOSHead', 'YOLOXHead'])
def test_other_heads_are_refused(loss, head_type):
    cfg = dict(type=head_type, num_classes=CLASSES, in_channels=4, feat_channels=4, norm_cfg=NORM)
    if head_type == 'TOODHead':
        cfg.update(num_dcn=0, anchor_generator=ONE_ANCHOR)
    head = MODELS.build(cfg)
    with pytest.raises(TypeError, match=f'{loss.__name__} cannot serve {head_type}: needs '):
        loss().check_head(head)


@pytest.mark.parametrize('name', ['retina', 'atss', 'softmax'])
def test_heads_without_distributions_are_refused(name):
    with pytest.raises(TypeError, match='DenseHeadDistributionLoss cannot serve .*reg_max'):
        DenseHeadDistributionLoss().check_head(build(name))
