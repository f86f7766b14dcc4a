"""The priors of a dense head's outputs, computed once for each size of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn


class PriorGrid(NamedTuple):
    """The priors of one image on several levels.

    Attributes:
        priors: (P, 4) anchors or (P, 2) points of all levels, in the head's pixels.
        starts: (L,) index of each level's first prior.
        stops: (L,) index after each level's last prior.
        counts: (L,) number of priors of each level.
        levels: (L,) index of each level in the head.
    """

    priors: Tensor
    starts: Tensor
    stops: Tensor
    counts: Tensor
    levels: Tensor

    def at(self, rows: Tensor, images: int) -> tuple[Tensor, Tensor]:
        """Find the priors of some rows of a dense head's output.

        Args:
            rows: (R,) indices of rows, which are ordered by level, then image, then prior.
            images: Number of images in the batch.

        Returns:
            The priors (R, 4 or 2) and the levels (R,).
        """
        place = torch.bucketize(rows, self.stops * images, right=True)
        start = self.starts[place]
        chosen = start + (rows - start * images) % self.counts[place]
        return self.priors[chosen], self.levels[place]


@lru_cache(maxsize=32)  # an entry may have several megabytes
@torch.inference_mode(False)  # a tensor that is cached in testing is used in training, too
def prior_grid(
    generator: AnchorGenerator | MlvlPointGenerator,
    levels: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    device: torch.device,
) -> PriorGrid:
    """Compute the priors on maps of given sizes.

    Args:
        generator: The generator of the head.
        levels: Indices of the levels.
        sizes: (rows, columns) of the map of each level.
        device: Device of the result.
    """
    priors = [
        get_box_tensor(
            generator.single_level_grid_priors(size, level, dtype=torch.float32, device=device)
        )
        for level, size in zip(levels, sizes)
    ]
    counts = torch.tensor([len(each) for each in priors], device=device)
    stops = counts.cumsum(0)
    return PriorGrid(
        torch.cat(priors), stops - counts, stops, counts, torch.tensor(levels, device=device)
    )


def prior_generator(head: nn.Module) -> AnchorGenerator | MlvlPointGenerator:
    """Return the generator of the priors of a head's outputs."""
    # Heads that move or regroup their anchors name the generator of the original anchors so.
    return getattr(head, 'prior_generator', None) or head.square_anchor_generator


def strides_of(head: nn.Module, levels: Tensor) -> Tensor:
    """Look up the strides (R, 1), in the head's pixels, of levels (R,)."""
    return by_level([stride[0] for stride in prior_generator(head).strides], levels)


def by_level(values: Sequence[float], levels: Tensor) -> Tensor:
    """Look up the values (R, 1), float32, of levels (R,). ``values`` has one for each level."""
    return _column(tuple(values), levels.device)[levels]


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None]
