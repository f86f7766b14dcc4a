"""Make images of noise with annotations, at any ratio, to compare a detector and its assistant."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BaseInstanceMasks, BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

BLOCK = 4
"""Side of the blocks of which masks and maps consist, in small pixels; a multiple of 4, so that it
is whole at ratios n/1, n/2 and n/4."""
PAIRWISE_STRIDE = 4
"""Small pixels per cell of BoxInst's maps."""
FILE = 2
"""Side of the file's image over that of the small one."""


class Annotations(NamedTuple):
    """Annotations that a detector needs.

    Args:
        classes: Number of classes.
        masks: ``'bitmap'``, ``'polygon'`` or None.
        sem_seg: Whether there are semantic maps.
        proposals: Whether there are boxes to start from (Fast R-CNN).
        pairwise: Whether there are maps of pairs of pixels (BoxInst's, of its preprocessor).
    """

    classes: int
    masks: str | None = None
    sem_seg: bool = False
    proposals: bool = False
    pairwise: bool = False


def images(shapes: list[tuple[int, int]], ratio: Fraction) -> list[Tensor]:
    """Return noise (3, H, W) in [0, 255], ``ratio`` times as large as the shapes."""
    return [
        torch.randint(0, 256, (3, *_times(shape, ratio)), dtype=torch.uint8) for shape in shapes
    ]


def data_samples(
    shapes: list[tuple[int, int]],
    batch_shape: tuple[int, int],
    ratio: Fraction,
    annotations: Annotations,
) -> list[DetDataSample]:
    """Return annotations of images that are ``ratio`` times as large, the same at every ratio.

    Args:
        shapes: (height, width) of the images in pixels at ratio 1.
        batch_shape: (height, width) to which they are padded, in pixels at ratio 1.
        ratio: Side of the images over that at ratio 1.
        annotations: Annotations beside boxes, labels and ignored boxes.

    Returns:
        Samples as a data preprocessor makes them, with boxes of all sizes.
    """
    random = np.random.RandomState(0)
    return [_sample(random, shape, batch_shape, ratio, annotations) for shape in shapes]


def _sample(
    random: np.random.RandomState,
    shape: tuple[int, int],
    batch_shape: tuple[int, int],
    ratio: Fraction,
    annotations: Annotations,
) -> DetDataSample:
    sample = DetDataSample(
        metainfo=dict(
            img_id=0,
            ori_shape=_times(shape, FILE),
            img_shape=_times(shape, ratio),
            pad_shape=_times(batch_shape, ratio),
            batch_input_shape=_times(batch_shape, ratio),
            scale_factor=(float(ratio) / FILE,) * 2,
            border=_times((4, 12, 8, 16), ratio),  # around the image: top, bottom, left, right
            flip=False,
        )
    )
    boxes = _boxes(random, 10, shape)
    labels = torch.as_tensor(random.randint(0, annotations.classes, len(boxes)))
    instances = InstanceData(bboxes=_pixels(boxes, ratio), labels=labels)
    if annotations.masks == 'bitmap':
        instances.masks = _bitmaps(boxes, batch_shape, ratio)
    elif annotations.masks == 'polygon':
        instances.masks = _polygons(boxes, batch_shape, ratio)
    if annotations.pairwise:
        cells = [side // PAIRWISE_STRIDE for side in batch_shape]
        instances.pairwise_masks = torch.as_tensor(random.randint(0, 2, (len(boxes), 8, *cells)))
    sample.gt_instances, sample.ignored_instances = instances[:-1], instances[-1:]
    if annotations.proposals:
        near = boxes.repeat(8, 0) + random.uniform(-4, 4, (8 * len(boxes), 4))
        scores = torch.as_tensor(random.rand(len(near)))
        sample.proposals = InstanceData(bboxes=_pixels(_exact(near.clip(0)), ratio), scores=scores)
    if annotations.sem_seg:
        cells = random.choice([0, 1, 90, 120, 255], [side // BLOCK for side in batch_shape])
        sample.gt_sem_seg = PixelData(sem_seg=torch.as_tensor(_enlarge(cells[None], ratio)))
    return sample


def _times(shape: tuple[int, ...], ratio: Fraction | int) -> tuple[int, ...]:
    return tuple(int(side * ratio) for side in shape)


def _pixels(boxes: np.ndarray, ratio: Fraction) -> Tensor:
    return torch.as_tensor(boxes * float(ratio), dtype=torch.float32)


def _boxes(random: np.random.RandomState, n: int, shape: tuple[int, int]) -> np.ndarray:
    """Draw boxes (n, 4) of all sizes, anywhere inside of an image."""
    sides = np.array(shape[::-1])
    wh = np.geomspace(0.05, 0.95, n)[:, None] * random.uniform(0.85, 1.05, (n, 2)) * sides
    low = random.uniform(0, 1, (n, 2)) * (sides - wh)
    boxes = random.permutation(np.concatenate([low, low + wh], 1))
    return _exact(boxes)


def _exact(pixels: np.ndarray) -> np.ndarray:
    """Round to numbers that stay exact when they are multiplied by 3/2 and divided again.

    If a box lies inside of several anchors, a rounding error would choose one of them.
    """
    return np.round(pixels * 16) / 16


def _enlarge(cells: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Enlarge cells (n, rows, columns) to blocks of pixels."""
    return cells.repeat(int(BLOCK * ratio), 1).repeat(int(BLOCK * ratio), 2)


def _bitmaps(boxes: np.ndarray, shape: tuple[int, int], ratio: Fraction) -> BaseInstanceMasks:
    """Draw ellipses in boxes."""
    centres, radii = _ellipses(boxes)
    y, x = ((np.arange(side // BLOCK) + 0.5) * BLOCK for side in shape)
    offsets = np.stack(np.meshgrid(x, y), -1) - centres[:, None, None]
    inside = ((offsets / np.maximum(radii, BLOCK)[:, None, None]) ** 2).sum(-1) <= 1
    return BitmapMasks(_enlarge(inside.astype(np.uint8), ratio), *_times(shape, ratio))


def _polygons(boxes: np.ndarray, shape: tuple[int, int], ratio: Fraction) -> BaseInstanceMasks:
    """Draw ellipses in boxes."""
    centres, radii = _ellipses(boxes)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    outlines = (centres[:, None] + radii[:, None] * circle) * float(ratio)
    return PolygonMasks([[outline.ravel()] for outline in outlines], *_times(shape, ratio))


def _ellipses(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and radii of ellipses, each (n, 2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
