"""Draw images with the boxes and masks of their objects, and with those that detectors find."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.visualization import DetLocalVisualizer
from mmengine.dataset import BaseDataset
from mmengine.structures import InstanceData
from torch import Tensor

from ...visualization import to_display

IMAGES = 4
MIN_SCORE = 0.3
SIDE = 480  # longer side of a drawn image, in pixels
MASK_ALPHA = 0.4
TITLE = 50  # height of the titles
DPI = 100
NO_MASK = [[0.0] * 6]
"""A polygon without area, for objects without a mask beside others that have one."""


class InsideImage(DetLocalVisualizer):
    """Draw images at their place, with readable labels above the boxes."""

    def set_image(self, image: np.ndarray) -> None:
        super().set_image(image)
        # Otherwise matplotlib makes room for what lies outside, and shrinks or moves the image.
        self.ax_save.autoscale(False)

    def draw_binary_masks(
        self, binary_masks: np.ndarray, colors: list, alphas: float
    ) -> DetLocalVisualizer:
        # The object must be visible under its mask.
        return super().draw_binary_masks(binary_masks, colors, alphas=MASK_ALPHA)

    def draw_texts(
        self, texts: str, positions: Tensor, font_sizes: int, **style: Any
    ) -> DetLocalVisualizer:
        x, y = map(float, positions)
        place = torch.tensor([x, max(y, 16)])  # inside of the picture
        return super().draw_texts(texts, place, font_sizes=9, vertical_alignments='bottom', **style)


def choose_images(dataset: BaseDataset) -> list[int]:
    """Return the indices of the first images in a dataset that have objects."""
    with_objects = (
        index
        for index in range(len(dataset))
        if any(not obj.get('ignore_flag') for obj in dataset.get_data_info(index)['instances'])
    )
    return list(islice(with_objects, IMAGES))


def draw_comparison(
    indices: Sequence[int],
    answers: dict[str, tuple[BaseDataset, list[Tensor], list[DetDataSample]]],
) -> Figure:
    """Draw a row for each image: the ground truth, then each detector's predictions.

    Each detector's column shows the image as that detector reads it.

    Args:
        indices: Indices of the images in the datasets.
        answers: Name of a detector → its dataset, the images (C, H, W) from that dataset, and its
            predictions, in the coordinates of the file.
    """
    dataset = next(iter(answers.values()))[0]
    files = [load(dataset, index) for index in indices]
    sizes = [mmcv.rescale_size(file['ori_shape'][::-1], (SIDE, SIDE)) for file in files]
    columns = {
        'ground truth': [
            draw(loaded(file), ground_truth(file), file['ori_shape'], size, dataset.metainfo)
            for file, size in zip(files, sizes)
        ]
    }
    for name, (read, images, samples) in answers.items():
        height, width = samples[0].img_shape
        columns[f'{name}, {width}×{height}'] = [
            draw(
                to_display(content(image, sample), bgr=is_file(read.get_data_info(index))),
                confident(sample.pred_instances),
                sample.ori_shape,
                size,
                read.metainfo,
            )
            for index, image, sample, size in zip(indices, images, samples, sizes)
        ]
    return grid(columns)


def load(dataset: BaseDataset, index: int) -> dict[str, Any]:
    """Return the results of a dataset's pipeline for an image that is loaded, but not changed."""
    results = dataset.get_data_info(index)
    while hasattr(dataset, 'dataset'):  # the pipeline of a wrapper does not load
        dataset = dataset.dataset
    for transform in dataset.pipeline.transforms:
        results = transform(results)
        if 'img' in results:
            break
    return results


def loaded(results: dict[str, Any]) -> np.ndarray:
    """Return a loaded image, (H, W, 3), RGB."""
    image = torch.from_numpy(np.atleast_3d(results['img'])).permute(2, 0, 1)
    return to_display(image, bgr=is_file(results))


def is_file(results: dict[str, Any]) -> bool:
    """Return whether an image is from a file, which is read as BGR."""
    return 'img_path' in results


def content(image: Tensor, sample: DetDataSample) -> Tensor:
    """Cut off the padding that a pipeline has put around an image (C, H, W)."""
    top, _, left, _ = map(int, sample.get('border', (0, 0, 0, 0)))  # CenterNet's is on all sides
    width, height = (
        round(side * factor)
        for side, factor in zip(sample.ori_shape[::-1], sample.get('scale_factor', (1.0, 1.0)))
    )
    return image[:, top : top + height, left : left + width]


def ground_truth(results: dict[str, Any]) -> InstanceData:
    """Return the objects of a loaded image that are not ignored, in the coordinates of the file.

    Returns:
        ``bboxes``, ``labels`` and, where objects have some, ``masks`` (N, H, W).
    """
    with_mask = any('mask' in obj for obj in results['instances'])
    for obj in results['instances']:
        obj.setdefault('mask', NO_MASK)
    results = LoadAnnotations(with_bbox=True, with_mask=with_mask)(results)
    truth = InstanceData(
        bboxes=results['gt_bboxes'].tensor, labels=torch.from_numpy(results['gt_bboxes_labels'])
    )
    if with_mask:
        truth.masks = torch.from_numpy(results['gt_masks'].to_ndarray()).bool()
    return truth[~torch.from_numpy(results['gt_ignore_flags'])]


def confident(instances: InstanceData) -> InstanceData:
    """Return detections with a score of at least ``MIN_SCORE``, the highest last, drawn on top."""
    instances = instances[instances.scores >= MIN_SCORE]
    return instances[instances.scores.argsort()]


def grid(columns: dict[str, list[np.ndarray]]) -> Figure:
    """Draw images (H, W, 3), RGB, in columns with titles."""
    rows = list(zip(*columns.values()))
    heights = [row[0].shape[0] for row in rows]
    width = max(row[0].shape[1] for row in rows)
    size = (len(columns) * width / DPI, (sum(heights) + TITLE) / DPI)
    figure = Figure(size, dpi=DPI, layout='constrained')
    axes = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for cell, image in zip(axes.flat, chain(*rows)):
        cell.imshow(image)
        cell.set_axis_off()
    for cell, title in zip(axes[0], columns):
        cell.set_title(title, fontsize=20)
    return figure


def draw(
    image: np.ndarray,
    instances: InstanceData,
    shape: tuple[int, int],
    size: tuple[int, int],
    metainfo: dict,
) -> np.ndarray:
    """Draw boxes, masks, labels and scores on an image, as far as its instances have them.

    Args:
        image: (H, W, 3), RGB: the whole file, in any size. Enlarged without interpolation.
        instances: In the coordinates of the file.
        shape: Height and width of the file.
        size: Width and height of the drawn image.
        metainfo: Of the dataset: ``classes`` and, if it has one, ``palette``.
    """
    enlarged = size[0] >= image.shape[1]
    image = mmcv.imresize(image, size, interpolation='nearest' if enlarged else 'area')
    visualizer = InsideImage(line_width=2)
    visualizer.dataset_meta = metainfo
    instances = within(instances, shape, size)
    sample = DetDataSample(gt_instances=instances)
    visualizer.add_datasample('comparison', image, sample, draw_pred=False)
    return visualizer.get_image()


def within(instances: InstanceData, shape: tuple[int, int], size: tuple[int, int]) -> InstanceData:
    """Scale instances to an image, cut off what lies outside, and drop those that are empty then.

    Args:
        instances: In the coordinates of the file.
        shape: Height and width of the file.
        size: Width and height of the image.
    """
    (height, width), (new_width, new_height) = shape, size
    scale = torch.tensor([new_width / width, new_height / height] * 2)
    instances = instances.clone()
    boxes = instances.bboxes = instances.bboxes * scale
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, new_width - 1)
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, new_height - 1)
    left = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    if 'masks' in instances:
        masks = BitmapMasks(instances.masks.numpy().astype(np.uint8), height, width)
        masks = masks.resize((new_height, new_width)).to_ndarray()
        instances.masks = torch.from_numpy(masks).bool()
        left |= instances.masks.flatten(1).any(dim=1)  # detectors without boxes yield zeros
    return instances[left]
