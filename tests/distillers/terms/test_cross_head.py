"""Terms that let the teacher's head read the student's maps."""

from copy import deepcopy

import pytest
import torch
from mmengine.config import ConfigDict

from pd_mmdet.distillers.terms.base import StepOutputs
from pd_mmdet.taps import Taps
from tests.helpers import one_stage, two_stage
from tests.helpers.tiny import CLS, batch, build, distiller, forward, retinanet, train

CROSS = dict(student='neck', teacher='bbox_head', weight=1.0)
CROSS_CLS = dict(CROSS, loss=dict(type='DenseHeadClsLoss'))
CROSS_BOX = dict(CROSS, loss=dict(type='DenseHeadBoxLoss', score_thr=0.0))
CROSSED = dict(cross_cls=CROSS_CLS, cross_box=CROSS_BOX)
ORDINARY = dict(cls=CLS, box=dict(CLS, loss=CROSS_BOX['loss']))


def sub_cells():
    return ConfigDict(type='SubCellDetector', detector=retinanet(), cells=2)


def assistant(detector):
    return ConfigDict(type='AFPDetector', detector=detector, ratio=2)


NAMES = ['RetinaNet', 'SubCells', 'FCOS', 'FCOSInStrides', 'GFL', 'VFNet', 'YOLOX', 'FasterRCNN']


def detector(name):
    """A detector, and the name of its dense head."""
    if name == 'FasterRCNN':
        return two_stage.detector(), 'rpn_head'
    made = dict(RetinaNet=retinanet, SubCells=sub_cells)
    return made[name]() if name in made else one_stage.detector(name), 'bbox_head'


every_family = pytest.mark.parametrize('name', NAMES)


def with_terms(student=None, teacher=None, view='lr', **terms):
    student = student or retinanet()
    teacher = teacher or assistant(student)
    model = build(distiller(student, view=view, teacher=dict(cfg=teacher), terms=terms))
    return model.train()


def of_head(head):
    """The terms above for a dense head of this name."""
    tapped = {name: dict(term, teacher=head) for name, term in (CROSSED | ORDINARY).items()}
    return {name: dict(t, student=head) if name in ORDINARY else t for name, t in tapped.items()}


def crossed(model, maps):
    """The terms where student and teacher have these maps (one list for each)."""
    teacher = model.teacher.model.bbox_head(maps[1])
    for term in model.distill.values():
        student = {term.crossing: term.cross(model, dict(neck=maps[0]))}
        step = StepOutputs(student, dict(bbox_head=teacher), None, [])
        yield term(model, step)


def random_maps():
    return [torch.randn(2, 8, side, side) for side in (8, 4, 2)]


# What it is


def test_equal_maps_have_nothing_to_teach():
    model, maps = with_terms(**CROSSED), random_maps()
    assert all(loss.abs() < 1e-6 for loss in crossed(model, (maps, maps)))
    assert all(loss > 1e-3 for loss in crossed(model, (random_maps(), maps)))


@every_family
def test_it_is_the_ordinary_term_of_a_student_that_has_the_teachers_head(name):
    """Also the gradients of all that lies before the head are."""
    student, head = detector(name)
    model = with_terms(student, **of_head(head))
    students, teachers = getattr(model, head), getattr(model.teacher.model, head)
    students.load_state_dict(teachers.state_dict())
    students.eval().training = True  # its norm layers are as the teacher's
    losses = forward(model, batch())
    for name in ORDINARY:
        ordinary, cross = (losses[f'distill_{each}_loss'] for each in (name, f'cross_{name}'))
        torch.testing.assert_close(cross, ordinary)
        assert cross > 1e-6
        before = [*model.backbone.parameters(), *model.neck.parameters()]
        found, wanted = (
            torch.autograd.grad(loss, before, retain_graph=True, allow_unused=True)
            for loss in (cross, ordinary)
        )
        assert any(each is not None and each.any() for each in found)
        torch.testing.assert_close(found, wanted)


def test_only_what_lies_before_the_students_head_learns_from_it():
    model = with_terms(**CROSSED)
    losses = forward(model, batch())
    (losses['distill_cross_cls_loss'] + losses['distill_cross_box_loss']).backward()
    for part in (model.backbone, model.neck):
        assert all(value.grad.any() for value in part.parameters() if value.ndim > 1)
    assert all(value.grad is None for value in model.bbox_head.parameters())
    assert all(value.grad is None for value in model.teacher.model.parameters())


def test_levels_of_the_teachers_tap_are_those_that_are_compared():
    model = with_terms(fine=dict(CROSS_BOX, teacher='bbox_head[:2]'), **CROSSED)
    maps, others = random_maps(), random_maps()
    fine, *rest = crossed(model, ([*maps[:2], others[2]], maps))
    assert fine.abs() < 1e-6 and all(loss > 1e-4 for loss in rest)


# In training


@every_family
def test_a_step_with_an_assistant(name):
    student, head = detector(name)
    terms = {name: dict(term, teacher=head) for name, term in CROSSED.items()}
    model = with_terms(student, **terms)
    before = deepcopy(model.neck.state_dict())
    (log,) = train(model, [batch()])
    assert all(0 < log[f'distill_{name}_loss'] < 10 for name in terms)
    assert any(
        not torch.equal(before[key], value) for key, value in model.neck.state_dict().items()
    )


def test_the_teacher_stays_as_it_is():
    """Also the statistics of norm layers in its head."""
    student = retinanet()
    student.bbox_head.norm_cfg = dict(type='BN')
    model = with_terms(student, **CROSSED)
    teacher = model.teacher.model
    before = deepcopy(teacher.state_dict())
    train(model, [batch(seed=seed) for seed in range(2)])
    torch.testing.assert_close(teacher.state_dict(), before, rtol=0, atol=0)
    assert not any(module.training for module in teacher.modules())


def test_its_head_reads_the_students_maps_once_a_step():
    model = with_terms(**CROSSED)
    calls = []
    head = model.teacher.model.bbox_head
    head.register_forward_hook(lambda module, args, output: calls.append(module))
    train(model, [batch()])
    assert len(calls) == 2  # its own maps are the other


def test_taps_around_the_step_see_only_its_own_maps():
    model = with_terms(**CROSSED)
    with Taps(model.teacher.model, ['neck.afp', 'bbox_head']) as tapped:
        forward(model, batch())
    maps, (scores, _) = tapped.outputs.values()
    torch.testing.assert_close(model.teacher.model.bbox_head(maps)[0], scores)


def test_every_parameter_is_used():
    """So DDP need not look for unused ones."""
    model = with_terms(**CROSSED)
    total, _ = model.parse_losses(forward(model, batch()))
    total.backward()
    assert all(value.grad is not None for value in model.parameters())


def test_an_assistant_learns_through_the_head_of_its_teacher():
    """Before the rescale its maps have the cells of the teacher's."""
    teacher = retinanet()
    teacher.bbox_head.anchor_generator.octave_base_scale = 4  # other priors do not matter
    model = with_terms(assistant(retinanet()), teacher, view='hr', **CROSSED)
    (log,) = train(model, [batch(views=('hr',))])
    assert all(log[f'distill_{name}_loss'] > 0 for name in CROSSED)


def test_lower_precision():
    model = with_terms(**CROSSED)
    full = forward(model, batch())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        lower = forward(model, batch())
    for name in ('distill_cross_cls_loss', 'distill_cross_box_loss'):
        assert lower[name].dtype == torch.float32
        torch.testing.assert_close(lower[name], full[name], rtol=0.05, atol=0)


# What is refused


def test_maps_of_other_channels():
    told = (
        r"tap 'neck' of the student .* = \[\(8, 32, 32\), .*; 'bbox_head' of the teacher cannot "
        'read them .*to have 16 channels'
    )
    with pytest.raises(ValueError, match=told):
        with_terms(teacher=assistant(retinanet(channels=16)), **CROSSED)


def test_maps_of_other_sizes():
    told = (
        r"tap 'neck' of the student .* = \[\(8, 32, 32\), .*; on them 'bbox_head' of the teacher "
        r"predicts .* \[\(32, 32\), .*, but on the teacher's own \[\(64, 64\), "
    )
    with pytest.raises(ValueError, match=told):
        with_terms(teacher=retinanet(), **CROSSED)


@pytest.mark.parametrize('tap', ['neck[1:]', 'neck[0]'])
def test_maps_of_some_levels(tap):
    with pytest.raises(ValueError, match="tap 'neck' of the student .* on the teacher's own"):
        with_terms(cross=dict(CROSS_CLS, student=tap))


def test_levels_that_the_head_does_not_have():
    with pytest.raises(ValueError, match="tap 'bbox_head' has 3 levels"):
        with_terms(cross=dict(CROSS_CLS, teacher='bbox_head[3:]'))


@pytest.mark.parametrize(('loss', 'told'), [('PearsonLoss', 'compares'), ('MSELoss', 'is no')])
def test_losses_of_other_outputs(loss, told):
    with pytest.raises(TypeError, match=f"{loss} {told} .*tap 'bbox_head' of the teacher is"):
        with_terms(cross=dict(CROSS, loss=dict(type=loss)))


def test_heads_that_a_loss_cannot_read():
    with pytest.raises(TypeError, match='DenseHeadDistributionLoss cannot serve RetinaHead'):
        with_terms(cross=dict(CROSS, loss=dict(type='DenseHeadDistributionLoss')))
