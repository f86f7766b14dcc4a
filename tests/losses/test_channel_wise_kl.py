import numpy as np
import pytest
import torch

from pd_mmdet.losses import ChannelWiseKLLoss


@pytest.fixture
def features():
    return 3 * torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def softmax(values):
    exponentials = np.exp(values - values.max())
    return exponentials / exponentials.sum()


@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_is_the_divergence_of_the_softmax_over_positions(features, tau):
    student, teacher = features.double().numpy()
    divergences = []
    for image in range(2):
        for channel in range(3):
            p = softmax(teacher[image, channel] / tau)
            q = softmax(student[image, channel] / tau)
            divergences.append((p * np.log(p / q)).sum())
    loss = ChannelWiseKLLoss(tau)(*features)
    np.testing.assert_allclose(loss, tau**2 * np.mean(divergences), rtol=1e-5)


def test_is_zero_for_features_that_differ_by_a_constant(features):
    student = features[0]
    assert ChannelWiseKLLoss()(student, student) == 0
    torch.testing.assert_close(
        ChannelWiseKLLoss()(student, student + 5), torch.tensor(0.0), rtol=0, atol=1e-5
    )


def test_gradient_reaches_the_student_only(features):
    student, teacher = (feature.clone().requires_grad_() for feature in features)
    ChannelWiseKLLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize('tau', [0, -1.0, float('nan')])
def test_refuses_a_temperature_that_is_not_above_zero(tau):
    with pytest.raises(ValueError, match='tau='):
        ChannelWiseKLLoss(tau)
