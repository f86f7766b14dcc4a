from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps
from torch.utils._pytree import tree_leaves

from pd_mmdet.losses import (
    DenseHeadBoxLoss,
    DenseHeadClsLoss,
    DenseHeadDistributionLoss,
    dense_head,
)
from pd_mmdet.losses.readers import DenseHeadOutput
from tests.helpers import dense_heads as zoo

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


def build(name, **options):
    torch.manual_seed(0)
    return MODELS.build(dict(CFGS[name], **options))


def predicted(head, seed):
    """A head's outputs for random features, with noise: confidences from near 0 to near 1."""
    generator = torch.Generator().manual_seed(seed)
    features = [torch.randn(BATCH, 4, *size, generator=generator) for size in SIZES]
    with torch.no_grad():
        outs = head(features)
    for cls_score, bbox_pred in zip(outs[0], outs[1]):
        cls_score += 2 * torch.randn(cls_score.shape, generator=generator) - 3
        bbox_pred += torch.randn(bbox_pred.shape, generator=generator)
    for centerness in sum(outs[2:], []):
        centerness += 3
    return DenseHeadOutput(head, [[one.requires_grad_() for one in maps] for maps in outs], LEVELS)


def rows(one, entry, channels, levels=LEVELS):
    """Prior by prior, written as loops over levels and images and a reshape."""
    return torch.cat(
        [
            image.permute(1, 2, 0).reshape(-1, channels)
            for level in levels
            for image in one.outputs[entry][level]
        ]
    )


def class_rows(one):
    return rows(one, 0, one.head.cls_out_channels)


def confidence(one):
    if not one.head.use_sigmoid_cls:
        return class_rows(one).detach().softmax(1)[:, :-1].sum(1)
    score = class_rows(one).detach().sigmoid().max(1).values
    return score * rows(one, 2, 1)[:, 0].detach().sigmoid() if len(one.outputs) == 3 else score


def boxes(one):
    all_levels = one.head.prior_generator.grid_priors(SIZES, device='cpu')
    priors = torch.cat([all_levels[level] for level in LEVELS for _ in range(BATCH)])
    if not hasattr(one.head, 'reg_max'):
        return one.head.bbox_coder.decode(priors, rows(one, 1, 4))
    distances = []
    for level in LEVELS:
        bins = rows(one, 1, one.head.reg_max + 1, [level]).softmax(1)
        expected = sum(i * bins[:, i] for i in range(one.head.reg_max + 1))
        distances.append(expected.view(-1, 4) * STRIDES[level])
    x1, y1, x2, y2 = priors.unbind(1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top, right, bottom = torch.cat(distances).unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], 1)


def grad(maps):
    return sum(m.grad.abs().sum().item() for m in tree_leaves(maps) if m.grad is not None)


@pytest.mark.parametrize('name', ['retina', 'atss', 'gfl'])
def test_sigmoid_classes_agree_with_mmdet_quality_focal_loss(name):
    head = build(name)
    student, teacher = predicted(head, 1), predicted(head, 2)
    soft_label = class_rows(teacher).sigmoid().detach()
    reference = MODELS.build(dict(type='QualityFocalLoss', beta=1.5))(
        class_rows(student),
        soft_label,
        avg_factor=max(1, soft_label.max(1).values.square().sum().item()),
    )
    maps = [student.outputs[0][level] for level in LEVELS]
    expected_grad = torch.autograd.grad(reference, maps)
    loss = DenseHeadClsLoss(beta=1.5)(student, teacher)
    torch.testing.assert_close(loss, reference)
    loss.backward()
    torch.testing.assert_close([m.grad for m in maps], list(expected_grad))


def test_softmax_classes_are_compared_by_divergence():
    head = build('softmax')
    assert head.cls_out_channels == CLASSES + 1
    student, teacher = predicted(head, 1), predicted(head, 2)
    p = class_rows(teacher).softmax(1).detach().double().numpy()
    q = class_rows(student).softmax(1).detach().double().numpy()
    divergence = (p * np.log(p / q)).sum() / (CLASSES + 1)
    normaliser = max(1, ((1 - p[:, -1]) ** 2).sum())
    loss = DenseHeadClsLoss()(student, teacher)
    np.testing.assert_allclose(loss.item(), divergence / normaliser, rtol=1e-5)


def test_background_priors_do_not_outweigh_the_objects():
    # 10,000 background priors at 0.01 and 4 objects at 0.9; the student misses the objects.
    logit = torch.tensor([0.01, 0.9]).logit()
    teacher = logit[0].repeat(1, 1, 100, 100)
    teacher[..., 0, :4] = logit[1]
    student = logit[0].repeat(1, 1, 100, 100)
    head = build('atss', num_classes=1)
    sides = [DenseHeadOutput(head, [[each]], [0]) for each in (student, teacher)]
    loss = DenseHeadClsLoss()(*sides)
    entropy = -(0.9 * np.log(0.01) + 0.1 * np.log(0.99))
    normaliser = 4 * 0.9**2 + 9996 * 0.01**2
    np.testing.assert_allclose(loss, 4 * entropy * 0.89**2 / normaliser, rtol=1e-4)


def test_classes_trained_with_the_objectness_are_compared_with_it():
    """One cell: 0.8 · 0.5 of the teacher, 0.5 · 0.4 of the student."""
    head = zoo.build(zoo.head_cfg('YOLOX'))
    teacher, student = (
        DenseHeadOutput(head, [[logit[0].view(1, 1, 1, 1)], [], [logit[1].view(1, 1, 1, 1)]], [0])
        for logit in torch.tensor([[0.8, 0.5], [0.5, 0.4]]).logit()
    )
    entropy = -(0.4 * np.log(0.2) + 0.6 * np.log(0.8))
    np.testing.assert_allclose(DenseHeadClsLoss()(student, teacher), entropy * 0.2**2, rtol=1e-5)


@pytest.mark.parametrize(
    ('name', 'score_thr'), [(n, 0.95 if n == 'softmax' else 0.2) for n in CFGS]
)
def test_boxes_agree_with_mmdet_generalised_iou(name, score_thr):
    head = build(name)
    student, teacher = predicted(head, 1), predicted(head, 2)
    weight = confidence(teacher)
    assert 10 < (weight < score_thr).sum() < len(weight) - 10
    weight[weight < score_thr] = 0
    overlaps = bbox_overlaps(boxes(student), boxes(teacher), 'giou', is_aligned=True)
    expected = ((1 - overlaps) * weight).sum() / max(1, weight.sum())
    loss = DenseHeadBoxLoss(score_thr)(student, teacher)
    torch.testing.assert_close(loss, expected)


def test_box_loss_of_one_prior_by_hand():
    # One cell with one anchor of 64 x 64; the teacher keeps it, the student halves its width:
    # IoU 1/2, and the smallest enclosing box is the anchor: GIoU 1/2. Confidence: 3 / (3 + 1).
    head = build('softmax', num_classes=1)
    logits = torch.tensor([np.log(3), 0]).view(1, 2, 1, 1)
    teacher, student = (
        DenseHeadOutput(head, [[logits], [torch.tensor([0, 0, width, 0]).view(1, 4, 1, 1)]], [0])
        for width in (0, np.log(0.5))
    )
    loss = DenseHeadBoxLoss()(student, teacher)
    np.testing.assert_allclose(loss, 0.75 * 0.5, rtol=1e-5)  # the weights' sum, 3/4, counts as 1


def test_boxes_of_two_kinds_of_heads_are_compared():
    """Anchors of 64 x 64; distances of 4 strides of 8 pixels from their centres are the same."""
    anchors, distributions = build('atss'), build('gfl')
    sure = torch.full((1, CLASSES, 1, 1), 9.0)
    bins = torch.full((1, 4, 7, 1, 1), -99.0)
    bins[:, :, 4] = 99
    teacher = DenseHeadOutput(distributions, [[sure], [bins.flatten(1, 2)]], [0])
    student = DenseHeadOutput(anchors, [[sure], [torch.zeros(1, 4, 1, 1)], [sure[:, :1]]], [0])
    for pair in ((student, teacher), (teacher, student)):
        np.testing.assert_allclose(DenseHeadBoxLoss()(*pair), 0, atol=1e-6)


@pytest.mark.parametrize('iou_loss', ['IoULoss', 'DIoULoss', 'CIoULoss'])
def test_other_iou_losses_of_mmdet_can_be_chosen(iou_loss):
    head = build('atss')
    student, teacher = predicted(head, 1), predicted(head, 2)
    loss = DenseHeadBoxLoss(iou_loss=dict(type=iou_loss))(student, teacher)
    assert loss > 0
    assert loss != DenseHeadBoxLoss()(student, teacher)


def test_distributions_are_compared_by_divergence():
    head = build('gfl')
    student, teacher = predicted(head, 1), predicted(head, 2)
    weight = confidence(teacher)
    weight[weight < 0.1] = 0
    temperature, bins = 5, head.reg_max + 1
    p = (rows(teacher, 1, bins) / temperature).softmax(1)
    q = (rows(student, 1, bins) / temperature).softmax(1)
    divergence = (p * (p / q).log()).mean(1).view(-1, 4).mean(1) * temperature**2
    expected = (divergence * weight).sum() / max(1, weight.sum())
    loss = DenseHeadDistributionLoss(T=temperature)(student, teacher)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


LOSSES = [
    ('retina', DenseHeadClsLoss),
    ('softmax', DenseHeadClsLoss),
    ('retina', DenseHeadBoxLoss),
    ('gfl', DenseHeadBoxLoss),
    ('gfl', DenseHeadDistributionLoss),
]


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_autocast_changes_nothing(name, loss):
    head = build(name)
    student, teacher = predicted(head, 1), predicted(head, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = loss()(student, teacher)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, loss()(student, teacher))


@pytest.mark.parametrize('loss', [DenseHeadBoxLoss, DenseHeadDistributionLoss])
def test_priors_below_the_threshold_do_not_count(loss):
    head = build('gfl')
    student, teacher = predicted(head, 1), predicted(head, 2)
    for level in teacher.outputs[0]:
        level.data.fill_(-3)  # 0.047
    teacher.outputs[0][2].data[0, 1, 0, 1] = 2
    loss()(student, teacher).backward()
    touched = [student.outputs[1][level].grad.abs().sum(1).nonzero().tolist() for level in LEVELS]
    assert touched == [[], [[0, 0, 1]]]


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_the_normaliser_is_shared_between_processes(name, loss, monkeypatch):
    head = build(name)
    student, teacher = predicted(head, 1), predicted(head, 2)
    for level in teacher.outputs[0]:
        level.data += 3  # so that the sums are above 1, where the normaliser is the sum
    alone = loss()(student, teacher)
    monkeypatch.setattr(dense_head, 'reduce_mean', lambda value: 2 * value)
    torch.testing.assert_close(loss()(student, teacher), alone / 2)


@pytest.mark.parametrize(('name', 'loss'), LOSSES)
def test_refuses_sides_of_different_cells(name, loss):
    head = build(name)
    student, teacher = predicted(head, 1), predicted(head, 2)
    teacher = replace(teacher, outputs=[[m[..., 1:] for m in maps] for maps in teacher.outputs])
    with pytest.raises(ValueError, match=r'level 0: .*\(2, 5, 7\).*\(2, 5, 6\)'):
        loss()(student, teacher)


# Every head of the zoo

NO_BOXES = dict(
    SABLRetina='its sides are chosen among buckets', GARetina='its anchors move in every image'
)
READ = dict(AutoAssign=(0, 2), YOLOX=(0, 2))
BOX_ENTRY = dict(VFNet=2, VFNetInStrides=2, YOLOV3=0)
CLS = [(name, DenseHeadClsLoss) for name in zoo.HEADS]
BOX = [(name, DenseHeadBoxLoss) for name in zoo.HEADS if name not in NO_BOXES]


@pytest.mark.parametrize(('name', 'loss'), [*CLS, *BOX, ('GFL', DenseHeadDistributionLoss)])
def test_every_head_is_served(name, loss):
    """Nothing where both sides are equal; else a gradient in the student's maps that are read."""
    head = zoo.build(zoo.head_cfg(name, classes=3))
    student, teacher = zoo.predicted(head, 1), zoo.predicted(head, 2)
    loss().check_head(head)
    torch.testing.assert_close(loss()(student, student), torch.tensor(0.0), rtol=0, atol=1e-5)
    value = loss()(student, teacher)
    assert value > 1e-4
    value.backward()
    if loss is DenseHeadClsLoss:
        read = READ.get(name, (0,))
    else:
        read = (2 if 'RepPoints' in name else BOX_ENTRY.get(name, 1),)
    touched = [entry for entry, maps in enumerate(student.outputs) if grad(maps) > 0]
    assert touched == list(read)
    assert grad(teacher.outputs) == 0
    trained = {name for name, p in head.named_parameters() if p.grad is not None}
    assert trained <= {'moment_transfer'}  # how RepPoints makes a box of its points


@pytest.mark.parametrize('name', NO_BOXES)
def test_boxes_that_cannot_be_compared_are_refused(name):
    head = zoo.build(zoo.head_cfg(name))
    told = f'DenseHeadBoxLoss cannot serve {type(head).__name__}: needs boxes .*{NO_BOXES[name]}'
    with pytest.raises(TypeError, match=told):
        DenseHeadBoxLoss().check_head(head)


@pytest.mark.parametrize('loss', [DenseHeadClsLoss, DenseHeadBoxLoss, DenseHeadDistributionLoss])
def test_heads_without_priors_are_refused(loss):
    head = MODELS.build(dict(type='CenterNetHead', in_channels=4, feat_channels=4, num_classes=3))
    with pytest.raises(TypeError, match=f'{loss.__name__} cannot serve CenterNetHead: needs '):
        loss().check_head(head)


def test_anchors_that_a_cascade_moves_are_refused():
    head = MODELS.build(dict(type='StageCascadeRPNHead', in_channels=4, num_classes=1))
    for loss in (DenseHeadClsLoss(), DenseHeadBoxLoss()):
        with pytest.raises(TypeError, match='StageCascadeRPNHead: .*anchors move in every image'):
            loss.check_head(head)


def test_other_coders_are_refused():
    coder = dict(type='BucketingBBoxCoder', num_buckets=14, scale_factor=3.0)
    with pytest.raises(TypeError, match='RetinaHead: needs the bbox_coder .*, not BucketingBBox'):
        DenseHeadBoxLoss().check_head(build('retina', bbox_coder=coder))


@pytest.mark.parametrize('name', ['retina', 'atss', 'softmax'])
def test_heads_without_distributions_are_refused(name):
    with pytest.raises(TypeError, match='DenseHeadDistributionLoss cannot serve .*reg_max'):
        DenseHeadDistributionLoss().check_head(build(name))


def test_a_sigmoid_is_not_compared_with_a_softmax():
    heads = build('softmax'), build('atss')
    with pytest.raises(TypeError, match='RetinaHead softmax scores.*ATSSHead sigmoid.*loss_cls'):
        DenseHeadClsLoss().check_pair(*heads)
    DenseHeadClsLoss().check_pair(build('retina'), build('gfl'))


def test_distributions_over_other_bins_are_not_compared():
    with pytest.raises(TypeError, match='student has reg_max=6, the teacher 8'):
        DenseHeadDistributionLoss().check_pair(build('gfl'), build('gfl', reg_max=8))
