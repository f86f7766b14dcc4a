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
"""Class of a layer -> attribute with its number of input channels, and their dimension."""


class _FirstLayer(Exception):
    """Stop a forward pass. The arguments are the channels that a layer needs and those it gets."""


def image_channels(model: nn.Module, side: int) -> int:
    """Count the channels of the images that a network reads.

    The first layer that has weights fixes this number. But it may read a multiple of the image's
    channels (YOLOX's ``Focus`` makes four channels of one), so a blank image is run through the
    network up to this layer, and the ratio is computed.

    Args:
        model: A detector or a classifier.
        side: Height and width in pixels of an image that it can read.

    Raises:
        ValueError: The mean of the data preprocessor has several values, but another number of
            them.
    """
    mean = getattr(model.data_preprocessor, 'mean', ())
    tried = len(mean) if len(mean) > 1 else 3  # a single value serves any number of channels
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
    """Return the channels that the first layer needs, and those that it gets for an image."""

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
