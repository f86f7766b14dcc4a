import math

import pytest
import torch

from pd_mmdet.losses.kd import KDLoss


@pytest.fixture
def logits():
    return 3 * torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))


def test_one_image_by_hand():
    # At T = 2 the teacher says 3/4, 1/4 and the student 1/2, 1/2.
    teacher, student = torch.tensor([[2 * math.log(3), 0]]), torch.zeros(1, 2)
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert KDLoss(T=2)(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('T', [1, 4.0])
def test_is_the_mean_divergence_of_the_softened_probabilities(logits, T):
    q, p = (logits.double() / T).softmax(-1)
    divergences = (p * (p / q).log()).sum(1)
    loss = KDLoss(T)(*logits)
    assert loss.item() == pytest.approx(T**2 * divergences.mean().item(), rel=1e-5)


def test_is_zero_for_logits_that_differ_by_a_constant(logits):
    student = logits[0]
    assert KDLoss()(student, student) == 0
    assert KDLoss()(student, student + 5).item() == pytest.approx(0, abs=1e-5)


def test_at_high_temperature_it_matches_centred_logits(logits):
    # Hinton et al., section 2.1: the gradient tends to that of half the squared distance, over C.
    student, teacher = logits
    centred = (student - teacher) - (student - teacher).mean(1, keepdim=True)
    expected = centred.square().sum(1).mean() / (2 * student.shape[1])
    assert KDLoss(T=300.0)(student, teacher).item() == pytest.approx(expected.item(), rel=0.02)


def test_gradient_reaches_the_student_only(logits):
    student, teacher = (each.clone().requires_grad_() for each in logits)
    KDLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_certain_sides_give_finite_values():
    student, teacher = 1e4 * torch.eye(3), 1e4 * torch.eye(3).flip(0)
    assert KDLoss(T=1)(student, teacher).isfinite()


@pytest.mark.parametrize('T', [0, -1.0, float('nan')])
def test_refuses_a_temperature_that_is_not_above_zero(T):
    with pytest.raises(ValueError, match='T='):
        KDLoss(T)
