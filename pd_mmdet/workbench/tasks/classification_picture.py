"""Draw images with their classes, and with the predictions of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.dataset import BaseDataset
from mmpretrain.structures import DataSample
from torch import Tensor

from ...visualization import to_display

IMAGES = 12
COLUMNS = 3
SIDE = 1.6  # of a drawn image, in inches
GAP = 0.1  # beside an image, in inches
LINE = 0.19  # height of a line of text, in inches
DPI = 100
LENGTH = 24  # characters of a class' name
RIGHT, WRONG = 'tab:green', 'tab:red'


def choose_images(dataset: BaseDataset) -> list[int]:
    """Return the indices of a dozen images, evenly spaced: datasets may be sorted by class."""
    number = min(IMAGES, len(dataset))
    return [index * len(dataset) // number for index in range(number)]


def draw_comparison(
    indices: Sequence[int],
    answers: dict[str, tuple[BaseDataset, list[Tensor], list[DataSample]]],
) -> Figure:
    """Draw each image as the first and as the last classifier reads it.

    Its class stands above; below it stands each classifier's prediction with its score, green if it
    is right, red if it is wrong.

    Args:
        indices: Indices of the images in the datasets.
        answers: Name of a classifier → its dataset, the images (C, H, W) from that dataset, and its
            predictions.
    """
    datasets = {name: dataset for name, (dataset, _, _) in answers.items()}
    left, *_, right = datasets
    lines = len(answers) + 2
    figure = blank(-(-len(indices) // COLUMNS), lines)
    for place, index in enumerate(indices):
        images = [image(answers[name][1][place], datasets[name], index) for name in (left, right)]
        axes = [add_image(figure, pixels, place, half, lines) for half, pixels in enumerate(images)]
        samples = {name: predicted[place] for name, (_, _, predicted) in answers.items()}
        write(axes[0], samples, datasets[left].metainfo.get('classes'))
    sizes = ['×'.join(map(str, pixels.shape[1::-1])) for pixels in images]
    title = f'{sizes[0]}: what the {left} reads; {sizes[1]}: what the {right} reads'
    figure.suptitle(title, y=1 - LINE / figure.get_figheight(), va='center')
    return figure


def blank(rows: int, lines: int) -> Figure:
    """Return an empty picture for rows of images with lines of text and a title."""
    return Figure(
        (COLUMNS * (2 * SIDE + 3 * GAP), rows * (SIDE + lines * LINE) + 2 * LINE), dpi=DPI
    )


def add_image(figure: Figure, pixels: np.ndarray, place: int, half: int, lines: int) -> Axes:
    """Add the left (``half`` 0) or right (1) image at a place, counted row by row."""
    width, height = figure.get_size_inches()
    row, column = divmod(place, COLUMNS)
    x = column * (2 * SIDE + 3 * GAP) + GAP + half * (SIDE + GAP)
    top = 2 * LINE + row * (SIDE + lines * LINE) + 1.3 * LINE
    box = (x / width, 1 - (top + SIDE) / height, SIDE / width, SIDE / height)
    axes = figure.add_axes(box)
    axes.imshow(pixels, interpolation='nearest')
    axes.set_axis_off()
    return axes


def image(pixels: Tensor, dataset: BaseDataset, index: int) -> np.ndarray:
    """Convert an image of a dataset, (C, H, W), for the screen: (H, W, 3), RGB."""
    # Files are read as BGR; a dataset without files, like CIFAR, holds RGB.
    return to_display(pixels, bgr='img_path' in dataset.get_data_info(index))


def write(axes: Axes, samples: dict[str, DataSample], classes: Sequence[str] | None) -> None:
    """Write the class of an image above it, and the predictions below it."""
    truth = next(iter(samples.values())).gt_label.item()
    axes.set_title(name_of(truth, classes), loc='left', fontsize=11, fontweight='bold')
    for line, (name, sample) in enumerate(samples.items(), 1):
        answer = sample.pred_score.argmax().item()
        axes.annotate(
            f'{name}: {name_of(answer, classes)} {sample.pred_score[answer]:.2f}',
            xy=(0, 0),
            xycoords='axes fraction',
            xytext=(0, -72 * LINE * line),
            textcoords='offset points',
            color=RIGHT if answer == truth else WRONG,
        )


def name_of(label: int, classes: Sequence[str] | None) -> str:
    """Return the name of a class, shortened; its number if the names are not known."""
    return shorten(str(classes[label] if classes else label), LENGTH, placeholder=' …')
