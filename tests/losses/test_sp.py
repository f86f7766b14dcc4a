import numpy as np
import pytest
import torch

from pd_mmdet.losses.sp import SPLoss


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(4, 3, 4, 5, generator=generator)
    return student, torch.randn(4, 6, 7, 2, generator=generator)


def test_two_images_by_hand():
    # Products 1, 1; 1, 2 against 1, 0; 0, 1, before the rows are brought to unit length.
    student = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).view(2, 2, 1, 1)
    teacher = torch.eye(2).view(2, 1, 1, 2)
    half, fifth = 0.5**0.5, 0.2**0.5
    expected = ((half - 1) ** 2 + half**2 + fifth**2 + (2 * fifth - 1) ** 2) / 4
    assert SPLoss()(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_is_the_mean_squared_difference_of_the_unit_rows_of_similarities(features):
    own, wanted = np.zeros((4, 4)), np.zeros((4, 4))
    for matrix, side in zip((own, wanted), features):
        images = side.double().numpy()
        for i, one in enumerate(images):
            matrix[i] = [(one * other).sum() for other in images]
            matrix[i] /= np.linalg.norm(matrix[i])
    expected = np.linalg.norm(wanted - own) ** 2 / 4**2
    np.testing.assert_allclose(SPLoss()(*features), expected, rtol=1e-5)


def test_is_zero_for_equal_features_whatever_their_scale_order_and_shape(features):
    student, _ = features
    assert SPLoss()(student, student) == 0
    other = -3 * student.flip(1).transpose(2, 3).reshape(4, 5, 3, 4)
    assert SPLoss()(student, other).item() == pytest.approx(0, abs=1e-8)


def test_the_scale_of_one_image_among_others_counts(features):
    student, _ = features
    other = student * torch.tensor([1.0, 9, 1, 1]).view(4, 1, 1, 1)
    assert SPLoss()(student, other) > 0.001


def test_a_batch_of_one_gives_zero(features):
    student = features[0][:1].clone().requires_grad_()
    loss = SPLoss()(student, features[1][:1])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-8)
    assert student.grad.abs().max() < 1e-6


def test_gradient_reaches_the_student_only(features):
    student, teacher = (feature.clone().requires_grad_() for feature in features)
    SPLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_silent_images_give_finite_values_and_gradients(features):
    student = torch.zeros(4, 3, 4, 5, requires_grad=True)
    loss = SPLoss()(student, features[1])
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()
