"""How alike the features of student and assistant are, level by level."""

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
    """Similarity of each level of the student's pyramid on small images to the assistant's.

    Args:
        student: A detector, and the dataset as it reads it.
        assistant: An ``AFPDetector`` of the same cells, and its dataset, of the same photographs.
        number: How many photographs are compared at most, evenly spaced.

    Returns:
        :func:`linear_cka` over all cells of all photographs, a number a level.
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
    """A pyramid's cells (H · W, C) for one photograph."""
    item = dataset[index]
    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    images = model.data_preprocessor(batch)['inputs']
    with Taps(model, [tap]) as tapped:
        model.extract_feat(images)
    return [level[0].flatten(1).t() for level in tapped.outputs[tap]]


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear centred kernel alignment of two features of the same places.

    It is 1 for features that agree up to rotation and scale of their channels, 0 for unrelated
    ones, and so compares networks that were not trained from the same weights.

    Source: Kornblith et al., ICML 2019, arXiv 1905.00414, section 3.

    Args:
        first: (places, channels).
        second: (places, channels), their number may differ.
    """
    first, second = (one.double() - one.double().mean(0) for one in (first, second))
    common = (second.t() @ first).square().sum()
    own = torch.linalg.norm(first.t() @ first) * torch.linalg.norm(second.t() @ second)
    return float(common / own)


def loaded(cfg: Config, weights: dict[str, Tensor]) -> tuple[nn.Module, BaseDataset]:
    """The deployed network of a config with these weights, and its validation set."""
    model = build_model(cfg)
    model.load_state_dict(weights)
    return model, build_dataset(cfg)


def similarities(
    student: Config, assistant: Config, weights: dict[str, dict[str, Tensor]], number: int
) -> dict[str, Sequence[float]]:
    """Similarity by level to the assistant, of the student's network with several weights.

    Args:
        student: Any config of the student's network on the small image.
        assistant: The assistant's.
        weights: State dicts by name; ``'assistant'`` are also the assistant's own.
        number: See :func:`level_similarity`.
    """
    teaching = loaded(assistant, weights['assistant'])
    return {
        name: level_similarity(loaded(student, own), teaching, number)
        for name, own in weights.items()
    }
