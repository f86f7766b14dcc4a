from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

from ..distillers.terms.feature import feature_maps
from ..distillers.terms.isrd import ISRD
from ..taps import Taps, evaluating
from ..visualization import to_display
from .samples import transforms_of


@HOOKS.register_module()
class ISRDVisualizationHook(Hook):
    """Show the images that ISRD rebuilds: small image, rebuilt image and large image side by side.

    Always shows the first images of the training: after the first iteration, then every
    ``interval`` iterations, and at the end. The backends of the runner's visualizer (files,
    TensorBoard, …) get the pictures under the names ``isrd_0``, ``isrd_1``, … Does nothing for a
    model without ISRD. The hook does not change the training.

    If an image has not three channels, its first channel or its first three channels are shown.
    Values that are not 8-bit are scaled to the range from black to white.

    Args:
        interval: Iterations from one picture to the next, 1 or more.
        num_images: Number of images that are shown, 1 or more.

    Raises:
        ValueError: ``interval`` or ``num_images`` is below 1.
    """

    def __init__(self, interval: int = 500, num_images: int = 2) -> None:
        if min(interval, num_images) < 1:
            raise ValueError(
                f'interval={interval}, num_images={num_images}: both must be 1 or more'
            )
        self.interval = interval
        self.num_images = num_images
        self.images: dict[str, Sequence[Tensor]] = {}

    @master_only
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the first images, and show them when it is time."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if find_isrd(model) is None:
            return
        first = not self.images
        if first:
            inputs = data_batch['inputs']
            self.images = {view: inputs[view][: self.num_images] for view in ('hr', 'lr')}
        last = runner.iter + 1 == runner.max_iters
        if first or last or self.every_n_train_iters(runner, self.interval):
            rebuilt = rebuild(model, self.images)
            bgr = blue_first(runner.train_dataloader.dataset, model)
            for number, picture in enumerate(side_by_side(self.images, rebuilt, bgr)):
                runner.visualizer.add_image(f'isrd_{number}', picture, step=runner.iter + 1)


def find_isrd(model: nn.Module) -> ISRD | None:
    """Return the ISRD term of a distiller, or None if it has none."""
    terms = getattr(model, 'distill', None)
    found = (term for term in terms.values() if isinstance(term, ISRD)) if terms else ()
    return next(iter(found), None)


def swaps_channels(model: nn.Module) -> bool:
    """Tell whether the data preprocessor of a distiller's student swaps red and blue."""
    preprocessor = model.data_preprocessor
    return getattr(preprocessor.student, preprocessor.channel_order)


def blue_first(dataset: Dataset, model: nn.Module) -> bool:
    """Tell whether blue is the first channel of a dataset's images; otherwise it is red.

    MMCV's loader puts blue first, except when it reads TIFF, which keeps the order of the file. For
    TIFF files, and for images that a dataset has in memory, blue is assumed to be first if the
    model swaps channels, because models swap them to get RGB.
    """
    loaders = [each for each in transforms_of(dataset) if isinstance(each, LoadImageFromFile)]
    return swaps_channels(model) or any(loader.imdecode_backend != 'tifffile' for loader in loaders)


@torch.no_grad()
def rebuild(model: nn.Module, images: dict[str, Sequence[Tensor]]) -> Tensor:
    """Rebuild large images from small ones.

    Args:
        model: A distiller with ISRD.
        images: Views ``hr`` and ``lr``, each with images (C, H, W) as a pipeline packs them.

    Returns:
        Images (N, C, H, W), float, with the value range and channel order of ``hr``, padded as the
        model pads its batches.
    """
    sides = model.data_preprocessor.paired
    small, large = (
        sides[side](dict(inputs=images[view]), training=True)['inputs']
        for side, view in (('student', 'lr'), ('target', 'hr'))
    )
    isrd = find_isrd(model)
    assert isrd is not None
    path = isrd.student.path
    with evaluating(model), Taps(model, [path], stop=True) as tapped:
        model(small, mode='tensor')
    feature = feature_maps(isrd.student, tapped.outputs[path])[0]
    rebuilt = isrd.reconstruct(feature, large.shape[-2:])
    target = sides['target']
    if target._enable_normalize:
        rebuilt = rebuilt * target.std + target.mean
    colours = rebuilt.shape[1] == 3
    return rebuilt.flip(1) if colours and swaps_channels(model) else rebuilt


def side_by_side(
    images: dict[str, Sequence[Tensor]], rebuilt: Tensor, bgr: bool
) -> list[np.ndarray]:
    """Make a picture (H, 3·W, 3), RGB, for each image: enlarged ``lr``, rebuilt image, ``hr``."""
    pictures = []
    for small, middle, large in zip(images['lr'], rebuilt.cpu(), images['hr']):
        height, width = large.shape[-2:]
        eight_bits = large.dtype == torch.uint8
        small, large = (image[: len(middle)].float().cpu() for image in (small, large))
        small = interpolate(small[None], (height, width), mode='nearest')[0]
        row = torch.cat([small, middle[:, :height, :width], large], dim=2)
        row = row.clamp(*(0, 255) if eight_bits else large.aminmax())
        pictures.append(to_display(row.round().byte() if eight_bits else row, bgr))
    return pictures
