import numpy as np
import pytest
import torch

from pd_mmdet.losses.ickd import ICKDLoss


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 4, 5, generator=generator)
    return student, torch.randn(2, 3, 7, 2, generator=generator)


def test_one_image_by_hand():
    # Products 1, 1; 1, 2 against 1, 0; 0, 1, before the rows are brought to unit length.
    student = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).view(1, 2, 1, 2)
    teacher = torch.eye(2).view(1, 2, 2, 1)
    half, fifth = 0.5**0.5, 0.2**0.5
    expected = ((half - 1) ** 2 + half**2 + fifth**2 + (2 * fifth - 1) ** 2) / 2
    assert ICKDLoss()(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_is_the_squared_distance_of_the_unit_rows_of_correlations(features):
    distances = []
    for student, teacher in zip(*(each.double().numpy() for each in features)):
        for channel in range(3):
            own, wanted = (
                np.array([(side[channel] * other).sum() for other in side])
                for side in (student, teacher)
            )
            gap = own / np.linalg.norm(own) - wanted / np.linalg.norm(wanted)
            distances.append((gap**2).sum())
    np.testing.assert_allclose(ICKDLoss()(*features), np.mean(distances), rtol=1e-5)


def test_is_zero_for_equal_features_whatever_their_scale_and_the_place_of_cells(features):
    student, _ = features
    assert ICKDLoss()(student, student) == 0
    other = -3 * student.transpose(2, 3).flip(2)
    assert ICKDLoss()(student, other).item() == pytest.approx(0, abs=1e-8)


def test_the_number_of_cells_does_not_count(features):
    student, teacher = features
    finer = teacher.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(ICKDLoss()(student, finer), ICKDLoss()(student, teacher))


def test_the_order_of_channels_counts(features):
    student, _ = features
    assert ICKDLoss()(student, student.flip(1)) > 0.01


def test_gradient_reaches_the_student_only(features):
    student, teacher = (feature.clone().requires_grad_() for feature in features)
    ICKDLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_the_gradient_of_silent_channels_is_bounded(features):
    student, teacher = features[0].clone(), features[1]
    student[:, 1] = 0
    student.requires_grad_()
    loss = ICKDLoss()(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.abs().max() < 1e6


def test_a_single_cell_of_a_single_image(features):
    student, teacher = (feature[:1, :, :1, :1].clone() for feature in features)
    assert ICKDLoss()(student, teacher).isfinite()
