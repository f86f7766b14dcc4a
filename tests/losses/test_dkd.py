import math

import pytest
import torch

from pd_mmdet.losses.dkd import DKDLoss
from pd_mmdet.losses.kd import KDLoss

LABELS = torch.tensor([0, 4, 2, 2])


@pytest.fixture
def logits():
    return 3 * torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q))


def test_one_image_by_hand():
    # The teacher says 1/2, 3/8, 1/8 and the student 1/4, 1/4, 1/2; the label is the first class.
    teacher, student = torch.tensor([[4.0, 3, 1]]).log(), torch.tensor([[1.0, 1, 2]]).log()
    tckd = kl((1 / 2, 1 / 2), (1 / 4, 3 / 4))
    nckd = kl((3 / 4, 1 / 4), (1 / 3, 2 / 3))
    loss = DKDLoss(alpha=2.0, beta=5.0, T=1)(student, teacher, torch.tensor([0]))
    assert loss.item() == pytest.approx(2 * tckd + 5 * nckd, rel=1e-5)


@pytest.mark.parametrize('T', [1, 4.0])
def test_is_the_mean_of_both_parts_over_images(logits, T):
    expected = 0
    for q, p, label in zip(*(logits.double() / T).softmax(-1).tolist(), LABELS.tolist()):
        own, wanted = q.pop(label), p.pop(label)
        tckd = kl((wanted, 1 - wanted), (own, 1 - own))
        nckd = kl([a / (1 - wanted) for a in p], [b / (1 - own) for b in q])
        expected += T**2 * (0.5 * tckd + 3 * nckd) / len(LABELS)
    loss = DKDLoss(alpha=0.5, beta=3.0, T=T)(*logits, LABELS)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('image', range(4))
def test_is_kd_where_the_parts_have_the_weights_of_equation_6(logits, image):
    student, teacher = logits[:, image : image + 1]
    label = LABELS[image : image + 1]
    p = (teacher / 4).softmax(1)[0, label].item()
    loss = DKDLoss(alpha=1.0, beta=1 - p, T=4.0)(student, teacher, label)
    assert loss.item() == pytest.approx(KDLoss(T=4.0)(student, teacher).item(), rel=1e-5)


def test_is_zero_for_logits_that_differ_by_a_constant(logits):
    student = logits[0]
    assert DKDLoss()(student, student, LABELS) == 0
    assert DKDLoss()(student, student + 5, LABELS).item() == pytest.approx(0, abs=1e-5)


def test_of_two_classes_the_other_teaches_nothing_more(logits):
    student, teacher = logits[..., :2]
    labels = LABELS.clamp(max=1)
    losses = [DKDLoss(beta=beta)(student, teacher, labels) for beta in (0.0, 8.0)]
    assert losses[0] == losses[1] > 0


def test_gradient_reaches_the_student_only(logits):
    student, teacher = (each.clone().requires_grad_() for each in logits)
    DKDLoss()(student, teacher, LABELS).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_certain_sides_give_finite_values_and_gradients():
    student = (1e4 * torch.eye(3)).requires_grad_()
    loss = DKDLoss(T=1)(student, 1e4 * torch.eye(3).flip(0), torch.arange(3))
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


def test_warms_up_linearly(logits):
    full = DKDLoss()(*logits, LABELS)
    loss = DKDLoss(warmup=4)
    values = torch.stack([loss(*logits, LABELS) for _ in range(6)])
    torch.testing.assert_close(values / full, torch.tensor([0.25, 0.5, 0.75, 1, 1, 1]))


def test_a_resumed_warm_up_goes_on_where_it_was(logits):
    loss, resumed = DKDLoss(warmup=9), DKDLoss(warmup=9)
    for _ in range(3):
        loss(*logits, LABELS)
    resumed.load_state_dict(loss.state_dict())
    for _ in range(3):
        assert resumed(*logits, LABELS) == loss(*logits, LABELS)


def test_counts_steps_of_training_only(logits):
    loss = DKDLoss(warmup=4)
    loss(*logits, LABELS)
    loss.eval()
    assert loss(*logits, LABELS) == loss(*logits, LABELS)
    assert loss.half().step == 1 and loss.step.dtype == torch.int64


def test_the_warm_up_does_not_disturb_the_gradient_of_a_step_before(logits):
    student = logits[0].clone().requires_grad_()
    loss = DKDLoss(warmup=4)
    first = loss(student, logits[1], LABELS)
    loss(student, logits[1], LABELS)
    first.backward()
    expected = torch.autograd.grad(DKDLoss()(student, logits[1], LABELS), student)[0] / 4
    torch.testing.assert_close(student.grad, expected)


@pytest.mark.parametrize(
    'options',
    [dict(alpha=-1), dict(beta=float('nan')), dict(T=0), dict(warmup=-1), dict(warmup=0.5)],
)
def test_refuses_options_out_of_range(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))}='):
        DKDLoss(**options)
