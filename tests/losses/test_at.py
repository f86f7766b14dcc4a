import numpy as np
import pytest
import torch

from pd_mmdet.losses.at import ATLoss


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 4, 5, generator=generator)
    return student, torch.randn(2, 6, 4, 5, generator=generator)


def enlarged(feature, rows, columns):
    return feature.repeat_interleave(rows, 2).repeat_interleave(columns, 3)


def test_one_image_by_hand():
    # Squares summed over channels: 3, 4 -> 0.6, 0.8 and 4, 3 -> 0.8, 0.6.
    student = torch.tensor([[3.0, 4.0]]).sqrt().view(1, 1, 1, 2)
    teacher = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [2**0.5, 1.0]]).view(1, 3, 1, 2)
    assert ATLoss()(student, teacher).item() == pytest.approx(0.04, rel=1e-5)


def test_is_the_mean_squared_difference_of_unit_attention_maps(features):
    distances = []
    for student, teacher in zip(*(each.double().numpy() for each in features)):
        own, wanted = (
            sum(channel**2 for channel in side) / np.linalg.norm((side**2).sum(0))
            for side in (student, teacher)
        )
        distances.append(((own - wanted) ** 2).mean())
    np.testing.assert_allclose(ATLoss()(*features), np.mean(distances), rtol=1e-5)


def test_is_zero_for_equal_features_whatever_their_sign_scale_and_channels(features):
    student, _ = features
    assert ATLoss()(student, student) == 0
    other = torch.cat([-student.flip(1), student], 1) * torch.tensor([2.0, 0.3]).view(2, 1, 1, 1)
    assert ATLoss()(student, other).item() == pytest.approx(0, abs=1e-8)


def test_maps_with_more_cells_are_averaged_down(features):
    student, teacher = features
    finer = enlarged(teacher, 2, 3)
    expected = ATLoss()(student, teacher)
    torch.testing.assert_close(ATLoss()(student, finer), expected)
    torch.testing.assert_close(ATLoss()(finer, student), expected)
    wider = enlarged(student, 1, 2)
    torch.testing.assert_close(ATLoss()(wider, enlarged(teacher, 3, 1)), expected)


def test_what_is_averaged_is_attention(features):
    # Activations of opposite sign in one coarse cell are attention, not nothing.
    student = torch.ones(1, 1, 1, 2)
    teacher = torch.tensor([1.0, -1.0, 1.0, 1.0]).view(1, 1, 1, 4)
    assert ATLoss()(student, teacher) == 0


def test_sides_that_do_not_divide_each_other_meet(features):
    student, teacher = features
    loss = ATLoss()(student, torch.randn(2, 6, 7, 7))
    assert 0 < loss <= 2 / 20


def test_gradient_reaches_the_student_only(features):
    student, teacher = (feature.clone().requires_grad_() for feature in features)
    ATLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize('shape', [(2, 3, 4, 5), (1, 3, 1, 2)])
def test_silent_features_give_finite_values_and_gradients(shape):
    student = torch.zeros(shape, requires_grad=True)
    loss = ATLoss()(student, torch.randn(shape))
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


def test_one_cell_is_refused(features):
    _, teacher = features
    message = 'student and teacher have 1x1 and 4x5 cells .*: tap earlier modules'
    with pytest.raises(ValueError, match=message):
        ATLoss()(torch.randn(2, 3, 1, 1), teacher)
