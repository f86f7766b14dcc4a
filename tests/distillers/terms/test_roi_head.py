"""Terms on the heads of two-stage detectors."""

from contextlib import contextmanager
from copy import deepcopy
from fractions import Fraction
from functools import wraps

import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.model import ExponentialMovingAverage

from pd_mmdet.distillers.roi_head_taps import bbox_heads
from tests.helpers.tiny import (
    CAFFE,
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
from tests.helpers.two_stage import (
    CASCADE,
    FASTER,
    HEAD,
    HTC,
    MASK,
    ROI,
    ROI_BOX,
    ROI_CLS,
    RPN,
    RPN_BOX,
    RPN_CLS,
    TERMS,
    assistant,
    detector,
    read,
)

ALL = dict(loss=dict(type='RoIHeadBoxLoss', score_thr=0.0))
MAIN = [FASTER, CASCADE, MASK]
ZOO = [
    *MAIN,
    HTC,
    'htc/htc-without-semantic_r50_fpn_1x_coco',
    'scnet/scnet_r50_fpn_1x_coco',
    'double_heads/dh-faster-rcnn_r50_fpn_1x_coco',
    'dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco',
    'pisa/faster-rcnn_r50_fpn_pisa_1x_coco',
    'libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco',
    'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco',
]


def with_terms(student=None, teacher=None, ratio=2, view='lr', **terms):
    """A distiller of Faster R-CNN, by default with its assistant."""
    student = student or detector()
    teacher = teacher or assistant(student, ratio)
    return build(distiller(student, ratio=ratio, view=view, teacher=dict(cfg=teacher), terms=terms))


def alone(model, cfg, seed=0):
    """A plain detector with the weights of a distiller's student (or of a teacher)."""
    plain = build(cfg, seed)
    weights = model.state_dict().items()
    plain.load_state_dict({k: v for k, v in weights if not k.startswith('distill.')})
    return plain.train(model.training)


def lose(model, data, seed=0):
    """The losses of a batch, with the RoIs that this seed samples."""
    torch.manual_seed(seed)
    return forward(model, data)


@contextmanager
def calls_of(roi_head):
    """The (stage, RoIs, results) of each call of a RoI head for boxes."""
    original, calls = roi_head._bbox_forward, []

    @wraps(original)
    def record(*args, **kwargs):
        results = original(*args, **kwargs)
        stage = kwargs.get('stage', args[0] if args and isinstance(args[0], int) else 0)
        rois = kwargs['rois'] if 'rois' in kwargs else next(a for a in args if torch.is_tensor(a))
        calls.append((stage, rois, results))
        return results

    roi_head._bbox_forward = record
    yield calls
    roi_head._bbox_forward = original


def runs_of(module):
    """Counts from now on how often a module runs."""
    runs = []
    module.register_forward_hook(lambda *_: runs.append(1))
    return runs


def images(model, data, view):
    """A view as the model alone would be given it."""
    inputs = data['inputs'][view] if isinstance(data['inputs'], dict) else data['inputs']
    return model.data_preprocessor(dict(inputs=inputs), True)['inputs']


def term_values(student, teacher, calls, feats, scale):
    """KL and weighted GIoU loss, averaged over stages, from MMDetection's calls alone."""
    kl, giou = [], []
    for stage, rois, own in calls:
        head = bbox_heads(student.roi_head)[stage]
        theirs = rois.clone()
        theirs[:, 1:] *= scale
        args = (stage, feats, theirs) if len(calls) > 1 else (feats, theirs)
        other = teacher.roi_head._bbox_forward(*args)
        q, p = own['cls_score'].softmax(1), other['cls_score'].softmax(1)
        kl.append((p * (p / q).log()).sum(1).mean())
        best = p[:, :-1].argmax(1)
        boxes = []
        for results in (own, other):
            deltas = results['bbox_pred'].unflatten(1, (-1, 4))
            picked = [one[label if len(one) > 1 else 0] for one, label in zip(deltas, best)]
            boxes.append(head.bbox_coder.decode(rois[:, 1:], torch.stack(picked)))
        weight = 1 - p[:, -1]
        overlap = bbox_overlaps(*boxes, mode='giou', is_aligned=True)
        giou.append(((1 - overlap) * weight).sum() / weight.sum().clamp(min=1))
    return torch.stack(kl).mean().item(), torch.stack(giou).mean().item()


# What is compared


@pytest.mark.parametrize('name', MAIN)
@pytest.mark.parametrize(('ratio', 'enlarge'), [(2, 1), ('4/3', 1), (2, 2)])
def test_the_assistant_judges_the_rois_of_the_student(name, ratio, enlarge):
    cfg = detector(name)
    cfg.data_preprocessor.update(pad_size_divisor=1)  # both pad alone as they do together
    views = str(Fraction(ratio) / enlarge)
    teacher = assistant(cfg, views)
    model = with_terms(cfg, teacher, views, cls=ROI_CLS, box=dict(HEAD, **ALL))
    student, other = alone(model, cfg), alone(model.teacher.model, teacher)
    data = batch(ratio, masks=True, enlarge=enlarge)
    with calls_of(student.roi_head) as calls:
        lose(student, batch(ratio, views=('lr',), masks=True, enlarge=enlarge))
    assert len(calls) == (3 if name == CASCADE else 1)
    with torch.no_grad():
        feats = other.extract_feat(images(other, data, 'hr'))
        kl, giou = term_values(student, other, calls, feats, scale=1)
    losses = lose(model, data)
    assert losses['distill_cls_loss'].item() == pytest.approx(kl, rel=1e-3)
    assert losses['distill_box_loss'].item() == pytest.approx(giou, rel=1e-3)
    assert min(kl, giou) > 1e-3


@pytest.mark.parametrize('name', [FASTER, CASCADE])
@pytest.mark.parametrize('stage', [1, 2])
def test_a_teacher_judges_them_in_the_pixels_of_its_image(name, stage):
    """In one stage (student on lr) and in stage 1 (its assistant on hr)."""
    cfg, teacher = detector(name), detector(name)
    teacher.data_preprocessor.update(CAFFE)
    own = assistant(cfg) if stage == 1 else cfg
    view = 'hr' if stage == 1 else 'lr'
    model = with_terms(own, teacher, view=view, cls=ROI_CLS, box=dict(HEAD, **ALL))
    student, other = alone(model, own), alone(model.teacher.model, teacher)
    data = batch(views=('hr',) if stage == 1 else ('hr', 'lr'))
    with calls_of(student.roi_head) as calls:
        lose(student, batch(views=(view,)))
    assert all(rois[:, 1::2].max() <= 64 for _, rois, _ in calls)  # lr is 64 pixels wide
    with torch.no_grad():
        feats = other.extract_feat(images(other, data, 'hr'))
        kl, giou = term_values(student, other, calls, feats, scale=2)
    losses = lose(model, data)
    assert losses['distill_cls_loss'].item() == pytest.approx(kl, rel=1e-3)
    assert losses['distill_box_loss'].item() == pytest.approx(giou, rel=1e-3)


@pytest.mark.parametrize('name', ZOO)
def test_the_terms_are_nought_where_both_see_the_same(name):
    cfg = detector(name)
    terms = {key: dict(term, loss=dict(term['loss'])) for key, term in TERMS.items()}
    for box in ('rpn_box', 'roi_box'):
        terms[box]['loss']['score_thr'] = 0.0
    model = with_terms(cfg, **terms)
    teacher = model.teacher.model
    data = batch(masks=True)
    losses = lose(model, data)
    assert all(losses[f'distill_{term}_loss'] > 1e-4 for term in terms)
    teacher.load_state_dict(model.state_dict())
    model.eval()  # as the teacher is: some heads have norms
    pyramid = []
    model.neck.register_forward_hook(lambda *args: pyramid.append(args[-1]))
    teacher.neck.afp.register_forward_hook(lambda *_: pyramid[0])
    losses = lose(model, data)
    assert len(pyramid) == 1
    values = {term: losses[f'distill_{term}_loss'].item() for term in terms}
    assert values == pytest.approx(dict.fromkeys(terms, 0), abs=1e-4)
    for head in bbox_heads(teacher.roi_head):
        head.fc_cls.bias[0] += 1
    pyramid.clear()
    assert lose(model, data)['distill_roi_cls_loss'] > 1e-4


@pytest.mark.parametrize(
    'name',
    ['grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco', 'sabl/sabl-faster-rcnn_r50_fpn_1x_coco'],
)
def test_heads_that_encode_boxes_otherwise_compare_their_classes(name):
    cfg = detector(name)
    assert forward(with_terms(cfg, cls=ROI_CLS), batch())['distill_cls_loss'] > 1e-4
    with pytest.raises(TypeError, match='needs boxes as DeltaXYWHBBoxCoder encodes them'):
        with_terms(cfg, box=ROI_BOX)


@pytest.mark.parametrize(
    'name',
    [
        'guided_anchoring/ga-faster-rcnn_r50_fpn_1x_coco',
        'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco',
    ],
)
def test_an_rpn_with_anchors_of_its_own(name):
    """Its outputs are not compared, the RoIs that it finds are judged by both."""
    cfg = detector(name)
    assert forward(with_terms(cfg, cls=ROI_CLS, pkd=PKD_AFP), batch())['distill_cls_loss'] > 0
    with pytest.raises(TypeError, match="tap 'rpn_head': a .*RPNHead predicts its anchors"):
        with_terms(cfg, cls=RPN_CLS)


PKD_AFP = dict(PKD, teacher='neck.afp')


def test_the_rpn_is_compared_as_dense_heads_are():
    """By level shift with a teacher's own, of strides 8 to 64 on the image twice as large."""
    model = with_terms(cls=RPN_CLS, box=RPN_BOX)
    assert model.distill['cls'].pairs == [(i, i) for i in range(5)]
    teacher = detector()
    teacher.rpn_head.anchor_generator.scales = [2]
    model = with_terms(teacher=teacher, cls=RPN_CLS, box=RPN_BOX)
    assert model.distill['cls'].pairs == [(i, i + 1) for i in range(4)]
    losses = forward(model, batch())
    assert losses['distill_cls_loss'] > 0 and losses['distill_box_loss'] > 0


# What is computed


@pytest.mark.parametrize('name, stages', [(FASTER, 1), (CASCADE, 3), (MASK, 1)])
@pytest.mark.parametrize(
    'terms, rpn, roi',
    [
        (dict(pkd=PKD_AFP), 0, 0),
        (dict(rpn_cls=RPN_CLS, rpn_box=RPN_BOX), 1, 0),
        (dict(roi_cls=ROI_CLS, roi_box=ROI_BOX), 0, 1),
        (dict(TERMS, pkd=PKD_AFP), 1, 1),
    ],
)
def test_the_assistant_runs_what_is_read_and_once(name, stages, terms, rpn, roi):
    model = with_terms(detector(name), **terms)
    teacher = model.teacher.model
    data = batch(masks=True)
    forward(model, data)  # which also finds the sizes of the small maps
    modules = [
        teacher.backbone,
        teacher.rpn_head,
        teacher.roi_head.bbox_roi_extractor,
        *bbox_heads(teacher.roi_head),
    ]
    if name == CASCADE:
        modules[2] = teacher.roi_head.bbox_roi_extractor[0]
    counts = [runs_of(module) for module in modules]
    masks = runs_of(teacher.roi_head.mask_head) if name == MASK else []
    with calls_of(teacher.roi_head) as calls:
        forward(model, data)
    assert [len(count) for count in counts] == [1, rpn, roi, *[roi] * stages]
    assert len(calls) == roi * stages and not masks
    assert all(not results['cls_score'].requires_grad for _, _, results in calls)


@pytest.mark.parametrize('name', [FASTER, CASCADE])
def test_what_a_sampler_of_hard_boxes_tries_is_not_compared(name):
    cfg = detector(name)
    rcnn = cfg.train_cfg.rcnn
    for stage in rcnn if isinstance(rcnn, list) else [rcnn]:
        stage.sampler.type = 'OHEMSampler'
    model = with_terms(cfg, roi_cls=ROI_CLS, roi_box=ROI_BOX)
    with calls_of(model.roi_head) as own, calls_of(model.teacher.model.roi_head) as other:
        forward(model, batch())
    stages = len(bbox_heads(model.roi_head))
    assert len(other) == stages < len(own)
    sampled = [rois for _, rois, results in own if results['cls_score'].requires_grad]
    assert all(torch.equal(one[1], rois) for one, rois in zip(other, sampled, strict=True))


def test_nothing_stays_on_the_roi_head():
    model = with_terms(roi_cls=ROI_CLS)
    forward(model, batch())
    assert '_bbox_forward' not in vars(model.roi_head)
    with pytest.raises(TypeError):
        model.loss(dict(student=None), dict(student=None))
    assert '_bbox_forward' not in vars(model.roi_head)
    ExponentialMovingAverage(model)


# The student


def equal(own, other):
    return own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize('name', MAIN)
def test_invariant_5_for_two_stage_detectors(name, tmp_path):
    cfg = detector(name)
    teacher = dict(cfg=assistant(cfg), checkpoint=save(assistant(cfg), tmp_path / 'teacher.pth'))
    plain = build(cfg)
    built = torch.get_rng_state()
    plain.init_weights()
    for options in (dict(), dict(teacher=teacher), dict(teacher=teacher, terms=TERMS)):
        model = build(distiller(cfg, **options))
        assert torch.equal(torch.get_rng_state(), built)
        model.init_weights()
        assert equal(model.state_dict(), plain.state_dict())
    model = build(distiller(cfg, teacher=teacher))
    model.init_weights()
    logs = []
    for one, views in ((plain, ('lr',)), (model, ('hr', 'lr'))):
        torch.manual_seed(1)
        logs.append(train(one, [batch(views=views, seed=i, masks=True) for i in range(3)]))
    assert equal(plain.state_dict(), model.state_dict())
    assert [log['loss'] for log in logs[0]] == [log['loss'] for log in logs[1]]


@pytest.mark.parametrize('name', MAIN)
def test_with_terms_the_students_own_losses_are_as_before(name):
    """And so is chance: terms of weight 0 leave the training as it is."""
    cfg = detector(name)
    terms = {key: dict(term, weight=0.0) for key, term in TERMS.items()}
    plain, model = build(cfg), with_terms(cfg, **terms)
    logs = []
    for one, views in ((plain, ('lr',)), (model, ('hr', 'lr'))):
        torch.manual_seed(1)
        logs.append(train(one, [batch(views=views, seed=i, masks=True) for i in range(3)]))
    for own, other in zip(*logs, strict=True):
        assert all(torch.equal(own[key], other[key]) for key in own)
        assert all(other[f'distill_{term}_loss'] == 0 for term in terms)
    assert equal(plain.state_dict(), model.state_dict())


@pytest.mark.parametrize('name', MAIN)
def test_it_trains_every_head(name):
    model = with_terms(detector(name), **TERMS, pkd=PKD_AFP)
    before = deepcopy(model.state_dict())
    teacher = deepcopy(model.teacher.model.state_dict())
    (log,) = train(model, [batch(masks=True)])
    assert all(log[f'distill_{term}_loss'] > 0 for term in (*TERMS, 'pkd'))
    for part in ('rpn_head.rpn_cls', 'rpn_head.rpn_reg', 'fc_cls', 'fc_reg', 'mask_head'):
        weights = [key for key in before if part in key and key.endswith('weight')]
        assert weights or (part == 'mask_head' and name != MASK)
        assert not any(torch.equal(model.state_dict()[key], before[key]) for key in weights)
    assert equal(model.teacher.model.state_dict(), teacher)
    assert ('loss_mask' in log) == (name == MASK)


def test_the_terms_alone_teach_the_roi_head():
    model = with_terms(**TERMS)
    losses = forward(model, batch())
    sum(losses[f'distill_{term}_loss'] for term in ('roi_cls', 'roi_box')).backward()
    head = model.roi_head.bbox_head
    assert head.fc_cls.weight.grad.abs().sum() > 0 and head.fc_reg.weight.grad.abs().sum() > 0
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    assert model.rpn_head.rpn_cls.weight.grad is None


# Bad input


@pytest.mark.parametrize(
    'term, error, told',
    [
        (dict(ROI_CLS, loss=dict(type='PearsonLoss')), TypeError, 'compares feature maps, but'),
        (dict(ROI_CLS, loss=dict(type='MSELoss')), TypeError, 'MSELoss is no RoIHeadLoss'),
        (
            dict(ROI_CLS, loss=dict(type='DenseHeadClsLoss')),
            TypeError,
            f"compares outputs of dense heads, but tap '{ROI}' .* for outputs of RoI heads",
        ),
        (dict(RPN, loss=dict(type='RoIHeadClsLoss')), TypeError, 'is for outputs of dense heads'),
        (
            dict(ROI_CLS, student='neck', teacher='neck'),
            TypeError,
            "RoIHeadClsLoss compares outputs of RoI heads, but tap 'neck' .* for feature maps",
        ),
        (
            dict(ROI_CLS, student=f'{ROI}.fc_cls', teacher=f'{ROI}.fc_cls'),
            ValueError,
            rf"'{ROI}\.fc_cls' of the student .* compared at '{ROI}' of both",
        ),
        (dict(ROI_CLS, teacher='neck.afp'), ValueError, "'neck.afp' of the teacher"),
        (dict(RPN_CLS, teacher=ROI), TypeError, 'cannot serve Shared2FCBBoxHead'),
        (dict(PKD, teacher=ROI), ValueError, f"'{ROI}' puts out no feature maps"),
        (dict(ROI_CLS, student=f'{ROI}[0]'), ValueError, 'compared at'),
    ],
)
def test_losses_at_other_places(term, error, told):
    with pytest.raises(error, match=told):
        with_terms(term=term)


def test_a_teacher_without_a_roi_head():
    with pytest.raises(ValueError, match=f"'{ROI}' names nothing in the teacher"):
        with_terms(teacher=retinanet(first=8), cls=ROI_CLS)
    losses = forward(with_terms(teacher=retinanet(first=8), pkd=PKD), batch())
    assert losses['distill_pkd_loss'] > 0
    student = with_terms(retinanet(), teacher=detector(), pkd=PKD)
    assert forward(student, batch())['distill_pkd_loss'] > 0
    with pytest.raises(TypeError, match='DenseHeadClsLoss cannot serve Shared2FCBBoxHead'):
        with_terms(retinanet(), teacher=detector(), cls=dict(CLS, teacher=ROI))


def test_cascades_of_other_stages():
    told = "the student's RoI head has 1 stages, the teacher's 3"
    with pytest.raises(ValueError, match=told):
        with_terms(teacher=detector(CASCADE), cls=ROI_CLS)


def test_other_classes():
    teacher = detector(CASCADE)
    for head in teacher.roi_head.bbox_head:
        head.num_classes = 4
    with pytest.raises(ValueError, match='student has num_classes=3, the teacher 4'):
        with_terms(detector(CASCADE), teacher, cls=ROI_CLS)


def test_boxes_encoded_otherwise():
    teacher = detector()
    teacher.roi_head.bbox_head.bbox_coder.target_stds = [0.05, 0.05, 0.1, 0.1]
    with_terms(teacher=teacher, cls=ROI_CLS)
    with pytest.raises(ValueError, match='bbox_coder: the student.*0.2.*the teacher.*0.05'):
        with_terms(teacher=teacher, box=ROI_BOX)


@pytest.mark.parametrize(
    'name, told',
    [
        ('seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1', 'SeesawLoss'),
        ('crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman', 'MultiInstanceBBoxHead'),
    ],
)
def test_heads_without_one_softmax(name, told):
    with pytest.raises(TypeError, match=f'RoIHeadClsLoss cannot serve .*{told}'):
        with_terms(detector(name), cls=ROI_CLS)


@pytest.mark.parametrize(
    'name, told',
    [
        ('tridentnet/tridentnet_r50-caffe_1x_coco', 'in training it makes three images of each'),
        ('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco', 'it must be a .* with a dense head'),
        ('detr/detr_r50_8xb2-150e_coco', 'it must be a .* with a dense head'),
    ],
)
def test_detectors_that_are_refused(name, told):
    cfg = deepcopy(read(f'mmdet::{name}.py').model)
    cfg.backbone.init_cfg = None
    if cfg.backbone.type == 'ResNet':
        cfg.backbone.update(depth=18)
    with pytest.raises(NotImplementedError, match=f'the student is a .*: {told}'):
        build(distiller(cfg))
    with pytest.raises(NotImplementedError, match=f'the teacher is a .*: {told}'):
        build(distiller(teacher=dict(cfg=cfg)))
