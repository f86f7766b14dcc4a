"""Images with their classes, and what classifiers say of them."""

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
SIDE = 1.6  # of an image in the picture, in inches
GAP = 0.1  # beside an image, in inches
LINE = 0.19  # height of a line of text, in inches
DPI = 100
LENGTH = 24  # characters of a class' name
RIGHT, WRONG = 'tab:green', 'tab:red'


def choose_images(dataset: BaseDataset) -> list[int]:
    """The indices of a dozen images over the whole dataset, which may be sorted by class."""
    number = min(IMAGES, len(dataset))
    return [index * len(dataset) // number for index in range(number)]


def draw_comparison(
    indices: Sequence[int],
    answers: dict[str, tuple[BaseDataset, list[Tensor], list[DataSample]]],
) -> Figure:
    """Each image as the first and as the last classifier reads it, its class above, below it the
    answer of each classifier and its score: green where it is right, red where it is wrong.

    Args:
        indices: Which images of the datasets.
        answers: A classifier's name → the dataset as it reads it, the images (C, H, W) from there,
            and its answers to them.
    """
    datasets = {name: dataset for name, (dataset, _, _) in answers.items()}
    left, *_, right = datasets
    lines = len(answers) + 2
    figure = blank(-(-len(indices) // COLUMNS), lines)
    for place, index in enumerate(indices):
        images = [image(answers[name][1][place], datasets[name], index) for name in (left, right)]
        axes = [add_image(figure, pixels, place, half, lines) for half, pixels in enumerate(images)]
        samples = {name: said[place] for name, (_, _, said) in answers.items()}
        write(axes[0], samples, datasets[left].metainfo.get('classes'))
    sizes = ['×'.join(map(str, pixels.shape[1::-1])) for pixels in images]
    title = f'{sizes[0]}: what the {left} reads; {sizes[1]}: what the {right} reads'
    figure.suptitle(title, y=1 - LINE / figure.get_figheight(), va='center')
    return figure


def blank(rows: int, lines: int) -> Figure:
    """An empty picture of rows of images with so many lines of text each, and a title."""
    return Figure(
        (COLUMNS * (2 * SIDE + 3 * GAP), rows * (SIDE + lines * LINE) + 2 * LINE), dpi=DPI
    )


def add_image(figure: Figure, pixels: np.ndarray, place: int, half: int, lines: int) -> Axes:
    """Add the left (0) or right (1) image of a place, counted in rows from the top."""
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
    """An image of a dataset, (C, H, W), as a screen shows it: (H, W, 3), RGB."""
    # Files are read as BGR; a dataset without files, like CIFAR, holds RGB.
    return to_display(pixels, bgr='img_path' in dataset.get_data_info(index))


def write(axes: Axes, samples: dict[str, DataSample], classes: Sequence[str] | None) -> None:
    """Write the class of an image above it, and the answers below it."""
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
    return shorten(str(classes[label] if classes else label), LENGTH, placeholder=' …')
