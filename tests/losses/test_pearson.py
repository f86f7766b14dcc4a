import numpy as np
import pytest
import torch

from pd_mmdet.losses import PearsonLoss


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    student, noise = torch.randn(2, 3, 5, 4, 7, generator=generator)
    return student, 0.6 * student + noise


def test_is_one_minus_the_correlation_averaged_over_channels(features):
    student, teacher = features
    correlations = [
        np.corrcoef(student[:, c].flatten(), teacher[:, c].flatten())[0, 1] for c in range(5)
    ]
    loss = PearsonLoss()(student, teacher)
    np.testing.assert_allclose(loss, 1 - np.mean(correlations), rtol=1e-4)


def test_is_zero_for_equal_and_two_for_opposite_features(features):
    student, _ = features
    assert PearsonLoss()(student, student) == 0
    torch.testing.assert_close(PearsonLoss()(student, -student), torch.tensor(2.0))


def test_ignores_scale_and_offset_of_each_channel(features):
    student, teacher = features
    scale, offset = torch.tensor([0.5, 2, 3, 10, 100]), torch.tensor([0.0, 1, -2, 30, -5])
    moved = student * scale.view(1, 5, 1, 1) + offset.view(1, 5, 1, 1)
    torch.testing.assert_close(
        PearsonLoss()(moved, teacher), PearsonLoss()(student, teacher), rtol=1e-4, atol=0
    )


def test_gradient_reaches_the_student_only(features):
    student, teacher = (feature.double().requires_grad_() for feature in features)
    PearsonLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize('shape', [(2, 3, 4, 4), (1, 3, 1, 1)])
def test_constant_channels_give_finite_values_and_gradients(shape):
    student = torch.ones(shape, requires_grad=True)
    loss = PearsonLoss()(student, torch.randn(shape))
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()
