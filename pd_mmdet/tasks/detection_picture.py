"""Images with the boxes of their objects, and with those that detectors find."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dataset import BaseDataset
from mmengine.structures import InstanceData

IMAGES = 4
MIN_SCORE = 0.3
SIDE = 480  # longer side of an image in the picture, in pixels
TITLE = 50  # height of the titles
DPI = 100


class LabelsAbove(DetLocalVisualizer):
    """Draws labels above the boxes, so large that they can be read beside small objects."""

    def draw_texts(
        self, texts: str, positions: torch.Tensor, font_sizes: int, **style: Any
    ) -> DetLocalVisualizer:
        x, y = positions.tolist()
        place = torch.tensor([x, max(y, 16)])  # not out of the picture
        return super().draw_texts(texts, place, font_sizes=9, vertical_alignments='bottom', **style)


def shown(dataset: BaseDataset) -> list[int]:
    """The indices of the first images in a dataset that have objects."""
    with_objects = (index for index in range(len(dataset)) if len(ground_truth(dataset, index)))
    return list(islice(with_objects, IMAGES))


def picture(
    indices: Sequence[int], answers: dict[str, tuple[BaseDataset, list[DetDataSample]]]
) -> Figure:
    """A row for each image; a column for the ground truth and one for each detector.

    Args:
        indices: Which images of the datasets.
        answers: A detector's name → the dataset as it reads it, and what it finds in each of the
            images, in the coordinates of the file.
    """
    dataset = next(iter(answers.values()))[0]
    columns = {'ground truth': [ground_truth(dataset, index) for index in indices]}
    for name, (_, samples) in answers.items():
        height, width = samples[0].img_shape
        found = [confident(sample.pred_instances) for sample in samples]
        columns[f'{name}, {width}×{height}'] = found
    files = [dataset.get_data_info(index)['img_path'] for index in indices]
    images = [mmcv.imread(file, channel_order='rgb') for file in files]
    return grid(images, columns, dataset.metainfo)


def ground_truth(dataset: BaseDataset, index: int) -> InstanceData:
    """The objects of an image that count, in the coordinates of the file."""
    instances = [
        instance
        for instance in dataset.get_data_info(index)['instances']
        if not instance.get('ignore_flag')
    ]
    boxes = torch.tensor([instance['bbox'] for instance in instances], dtype=torch.float32)
    labels = torch.tensor([instance['bbox_label'] for instance in instances], dtype=torch.long)
    return InstanceData(bboxes=boxes.reshape(-1, 4), labels=labels)


def confident(instances: InstanceData) -> InstanceData:
    """Detections that are worth drawing, the surest last: on top of others of the same object."""
    instances = instances[instances.scores >= MIN_SCORE]
    return instances[instances.scores.argsort()]


def grid(
    images: Sequence[np.ndarray], columns: dict[str, list[InstanceData]], metainfo: dict
) -> Figure:
    """A row for each image (H, W, 3), RGB; a column for each title, with its boxes drawn."""
    rows = [
        [draw(image, instances, metainfo) for instances in found]
        for image, found in zip(images, zip(*columns.values()))
    ]
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


def draw(image: np.ndarray, instances: InstanceData, metainfo: dict) -> np.ndarray:
    """An image (H, W, 3), RGB, brought to ``SIDE``, with boxes, labels and scores if it has any."""
    image, scale = mmcv.imrescale(image, (SIDE, SIDE), return_scale=True)
    instances = instances.clone()
    instances.bboxes = instances.bboxes * scale
    visualizer = LabelsAbove(line_width=2)
    visualizer.dataset_meta = metainfo
    visualizer.add_datasample(
        'comparison', image, DetDataSample(gt_instances=instances), draw_pred=False
    )
    return visualizer.get_image()
