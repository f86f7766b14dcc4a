from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from .taps import evaluating

WIDTHS = {
    _ConvNd: ('in_channels', 1),
    nn.Linear: ('in_features', -1),
    _NormBase: ('num_features', 1),
}
"""Layers that fix how many channels they read: in which attribute, and along which dimension."""


class _FirstLayer(Exception):
    """Ends a forward pass; holds the channels that the layer wants and those that it was given."""


def image_channels(model: nn.Module, side: int) -> int:
    """Count the channels of the images that a network reads.

    The first layer with weights knows. It may read a multiple of them (YOLOX's ``Focus`` makes
    four of one), so it is asked while the network reads an image.

    Args:
        model: A detector or a classifier.
        side: Of a square image that it can read, in pixels.

    Raises:
        ValueError: If the data preprocessor has a mean of several values, but not so many.
    """
    mean = getattr(model.data_preprocessor, 'mean', ())
    tried = len(mean) if len(mean) > 1 else 3  # one value is for any number of channels
    wanted, given = _first_layer(model, next(model.parameters()).new_zeros(1, tried, side, side))
    channels = tried * wanted // given
    if len(mean) > 1 and channels != tried:
        raise ValueError(
            f'data_preprocessor.mean has {tried} values, but the first layer of the '
            f'{type(model).__name__} reads {channels} channels: let backbone.in_channels and the '
            'lengths of mean and std be those of the images'
        )
    return channels


@torch.no_grad()
def _first_layer(model: nn.Module, image: torch.Tensor) -> tuple[int, int]:
    """The channels that the first layer wants, and those that it is given for an image."""

    def look(layer: nn.Module, args: tuple) -> None:
        name, dim = next(width for kind, width in WIDTHS.items() if isinstance(layer, kind))
        raise _FirstLayer(getattr(layer, name), args[0].shape[dim])

    layers = [layer for layer in model.modules() if isinstance(layer, tuple(WIDTHS))]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with evaluating(model):
            model.extract_feat(image)
    except _FirstLayer as found:
        return found.args
    finally:
        for handle in handles:
            handle.remove()
    return image.shape[1], image.shape[1]
