"""Measure how similar the features of student and assistant are, level by level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from torch import Tensor, nn

from ...taps import Taps
from ..stages.evaluate import build_dataset, build_model


@torch.inference_mode()
def level_similarity(
    student: tuple[nn.Module, BaseDataset],
    assistant: tuple[nn.Module, BaseDataset],
    number: int,
) -> list[float]:
    """Measure the similarity of each level of the student's pyramid to the assistant's.

    Args:
        student: A detector and its dataset of small images.
        assistant: An ``AFPDetector`` with the same cells and its dataset of large images, of the
            same photographs.
        number: Largest number of photographs, evenly spaced.

    Returns:
        :func:`linear_cka` over all cells of all photographs, for each level.
    """
    number = min(number, len(student[1]))
    cells: list[list[tuple[Tensor, Tensor]]] = []
    for index in range(number):
        place = index * len(student[1]) // number
        both = (_levels(*student, place, 'neck'), _levels(*assistant, place, 'neck.afp'))
        cells.append(list(zip(*both, strict=True)))
    return [
        linear_cka(*(torch.cat([image[side] for image in level]) for side in (0, 1)))
        for level in zip(*cells)
    ]


def _levels(model: nn.Module, dataset: BaseDataset, index: int, tap: str) -> list[Tensor]:
    """Return the cells (H · W, C) of each level of a pyramid for one photograph."""
    item = dataset[index]
    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    images = model.data_preprocessor(batch)['inputs']
    with Taps(model, [tap]) as tapped:
        model.extract_feat(images)
    return [level[0].flatten(1).t() for level in tapped.outputs[tap]]


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Compute the linear centred kernel alignment of two features of the same places.

    It is 1 for features that agree up to rotation and scale of their channels, and 0 for unrelated
    features, so it can compare networks that were not trained from the same weights.

    Source: Kornblith et al., ICML 2019, arXiv 1905.00414, section 3.

    Args:
        first: (places, channels).
        second: (places, channels); the number of channels may differ.
    """
    first, second = (feature.double() - feature.double().mean(0) for feature in (first, second))
    common = (second.t() @ first).square().sum()
    norms = torch.linalg.norm(first.t() @ first) * torch.linalg.norm(second.t() @ second)
    return float(common / norms)


def loaded(cfg: Config, weights: dict[str, Tensor]) -> tuple[nn.Module, BaseDataset]:
    """Build the deployed network of a config with these weights, and its validation set."""
    model = build_model(cfg)
    model.load_state_dict(weights)
    return model, build_dataset(cfg)


def similarities(
    student: Config, assistant: Config, weights: dict[str, dict[str, Tensor]], number: int
) -> dict[str, Sequence[float]]:
    """Measure the similarity to the assistant, by level, of the student with several weights.

    Args:
        student: Any config of the student's network on the small image.
        assistant: The assistant's config.
        weights: Name → state dict of the student's network. Those of ``'assistant'`` are also
            the assistant's weights.
        number: See :func:`level_similarity`.
    """
    large = loaded(assistant, weights['assistant'])
    return {
        name: level_similarity(loaded(student, state_dict), large, number)
        for name, state_dict in weights.items()
    }
