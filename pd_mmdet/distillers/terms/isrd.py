"""ISRD (input spatial representation distillation): the term that rebuilds the large image."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import StepOutputs, Term
from .feature import feature_maps

STEMS = (
    'backbone.stem',
    'backbone.relu',
    'backbone.patch_embed',
    'backbone.conv1',
    'backbone.layer0',
    'backbone.layers.0',
    'backbone.features.1',
    'backbone.downsample_layers.0',
    'backbone.patch_embeds.0',
    'backbone.stage0',
    'backbone.tokens_to_token',
)
"""Modules at which the stem of a backbone ends. ISRD's default tap is the first that exists."""


def find_stem(model: nn.Module) -> str:
    """Find the module at the end of a backbone's stem, and return its path.

    Raises:
        ValueError: The backbone has none of ``STEMS``.
    """
    names = dict(model.named_modules())
    for stem in STEMS:
        if stem in names:
            return stem
    raise ValueError(f'isrd: the backbone has none of {STEMS}; set isrd=dict(tap=…)')


class ISRD(Term):
    """Rebuild the large image from a feature map of the student, and compare them by L1 distance.

    The image is rebuilt by a 1x1 convolution to C · r^2 channels, where C is the number of channels
    of the image, then pixel shuffle by r, then PReLU. r is the side of a cell of the feature map in
    pixels of the large image, rounded up. This module is used in training only.

    Source: Pixel Distillation (Guo et al., TPAMI 2024, arXiv 2112.09532).

    Args:
        student (str): Tap of the feature map.
        weight (float): Factor of the term in the total loss.
        in_channels (int): Number of channels of the feature map.
        stride (int): Stride of the feature map in pixels of the small image.
        ratio (Fraction): Side length of the large image over the small one.
        out_channels (int): Number of channels of the image.
    """

    def __init__(
        self,
        student: str,
        weight: float,
        in_channels: int,
        stride: int,
        ratio: Fraction,
        out_channels: int,
    ) -> None:
        super().__init__(student, weight)
        self.ratio = ratio
        self.cell = stride * ratio  # side of a cell in pixels of the large image
        upscale = math.ceil(self.cell)
        self.conv = nn.Conv2d(in_channels, out_channels * upscale**2, kernel_size=1)
        self.shuffle = nn.PixelShuffle(upscale)
        self.act = nn.PReLU()

    def forward(self, model: nn.Module, step: StepOutputs) -> Tensor:
        feature = feature_maps(self.student, step.student[self.student.path])[0]
        shapes = [sample.img_shape for sample in step.data_samples]
        img_shapes = [(int(h * self.ratio), int(w * self.ratio)) for h, w, *_ in shapes]
        assert step.image is not None  # the data preprocessor returns it if there is such a term
        return self.weight * self.distance(feature, step.image, img_shapes)

    def distance(
        self, feature: Tensor, target: Tensor, img_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Compute the mean L1 distance between rebuilt and large images, without their padding.

        Args:
            feature (Tensor): Feature map of the small images, shape (N, in_channels, h, w).
            target (Tensor): Normalised large images, shape (N, out_channels, H, W), padded at the
                right and bottom.
            img_shapes (list[tuple[int, int]]): (height, width) of each large image without padding.

        Returns:
            Tensor: Scalar, float32: the mean over all channels and pixels outside the padding.

        Raises:
            ValueError: The feature map does not cover the large image.
        """
        size = target.shape[-2], target.shape[-1]
        rebuilt, target, order = self._comparable(feature, target)
        distance = F.l1_loss(rebuilt.float(), target.float(), reduction='none')
        if any(tuple(shape) != size for shape in img_shapes):
            distance = distance * order(unpadded(img_shapes, size, distance.device)[:, None])
        pixels = sum(height * width for height, width in img_shapes)
        return distance.sum() / (target.shape[1] * pixels)

    def _comparable(
        self, feature: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
        """Arrange the pixels of the rebuilt images and of the target in the same order.

        If whole cells cover the image exactly, this is the order of the channels of ``conv``. To
        reorder the target is cheaper than to shuffle the rebuilt images, because only these need a
        gradient.

        Returns:
            The rebuilt images, the target, and the function that reorders an image.
        """
        size, upscale = (target.shape[-2], target.shape[-1]), self.shuffle.upscale_factor
        tiled = tuple(cells * upscale for cells in feature.shape[-2:])
        if self.cell != upscale or size != tiled:
            return self.reconstruct(feature, size), target, lambda image: image
        target = self._by_cell(target)
        return self.act(self.conv(feature)).view(target.shape), target, self._by_cell

    def _by_cell(self, image: Tensor) -> Tensor:
        """View images (N, C, h * r, w * r) as (N, C, r, r, h, w), the order of ``conv``."""
        r = self.shuffle.upscale_factor
        return image.unflatten(3, (-1, r)).unflatten(2, (-1, r)).permute(0, 1, 3, 5, 2, 4)

    def reconstruct(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Rebuild the large images.

        Args:
            feature (Tensor): Feature map of the small images, shape (N, in_channels, h, w).
            size (tuple[int, int]): Height H and width W of the large images.

        Returns:
            Tensor: Rebuilt images, shape (N, out_channels, H, W).

        Raises:
            ValueError: The feature map does not cover ``size``.
        """
        # The last row and column of cells may reach beyond the image. So crop after resizing, to
        # keep all other cells at their places.
        covered = [math.ceil(cells * self.cell) for cells in feature.shape[-2:]]
        if covered[0] < size[0] or covered[1] < size[1]:
            raise ValueError(
                f'ISRD: a feature map of {tuple(feature.shape[-2:])} cells, each of {self.cell} '
                f'pixels of the large image, does not cover a large image of {tuple(size)}: stride '
                'must be the stride of the tap, and ratio that of the data'
            )
        image = self.act(self.shuffle(self.conv(feature)))
        if self.cell.denominator != 1:
            image = F.interpolate(image, covered, mode='bilinear', align_corners=False)
        return image[..., : size[0], : size[1]]


def unpadded(
    img_shapes: list[tuple[int, int]], size: tuple[int, int], device: torch.device
) -> Tensor:
    """Make a mask (N, H, W) that is True inside each image and False in its padding.

    Args:
        img_shapes: (height, width) of each image without padding.
        size: Height H and width W of the padded images.
        device: Device of the mask.
    """
    heights, widths = torch.tensor(img_shapes).to(device, non_blocking=True).unbind(1)
    rows = torch.arange(size[0], device=device) < heights[:, None]
    columns = torch.arange(size[1], device=device) < widths[:, None]
    return rows[:, :, None] & columns[:, None, :]
