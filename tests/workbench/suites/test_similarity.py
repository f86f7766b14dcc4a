import pytest
import torch

from pd_mmdet.workbench.suites.similarity import level_similarity, linear_cka


class Constant(torch.nn.Module):
    """A detector whose pyramid is its images, at two scales."""

    def __init__(self, tap_afp: bool, factor: float = 1.0) -> None:
        super().__init__()
        self.neck = torch.nn.Identity()
        if tap_afp:
            self.neck.add_module('afp', torch.nn.Identity())
        self.factor = factor

    def data_preprocessor(self, batch):
        return dict(inputs=torch.stack(batch['inputs']))

    def extract_feat(self, images):
        levels = self.factor * images, images[..., ::2, ::2]
        afp = getattr(self.neck, 'afp', None)
        return afp(levels) if afp is not None else self.neck(levels)


def photographs(seed: int) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    return [
        dict(inputs=torch.randn(3, 8, 8, generator=generator), data_samples=None) for _ in range(3)
    ]


def test_cka_of_rotated_scaled_and_moved_features_is_one():
    feature = torch.randn(50, 4)
    rotation = torch.linalg.qr(torch.randn(4, 4))[0]
    assert linear_cka(feature, 3 * feature @ rotation + 2) == pytest.approx(1, abs=1e-6)


def test_cka_by_hand():
    first = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    second = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # Y'X = (2, 2)', X'X = 4, Y'Y = 2 I: (4 + 4) / (4 · 2 √2)
    assert linear_cka(first, second) == pytest.approx(8 / (4 * 8**0.5))


def test_unrelated_features_are_unlike():
    assert linear_cka(torch.randn(20000, 3), torch.randn(20000, 3)) < 0.01


def test_levels_are_compared_over_all_photographs():
    assistant = Constant(tap_afp=True), photographs(0)
    same = level_similarity((Constant(False, factor=2.0), photographs(0)), assistant, 3)
    assert same == pytest.approx([1, 1], abs=1e-6)
    other = level_similarity((Constant(False), photographs(1)), assistant, 3)
    assert max(other) < 0.5
