"""Report what networks cost to run, and how good they are."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from terminaltables import AsciiTable, GithubFlavoredMarkdownTable
from torch import nn

from ...checkpoint import load_data
from ...distillers.teacher import student_part
from ..onnx.evaluate import with_file
from ..stages.evaluate import build_dataset, build_model, costs, measure, view
from ..stages.results import (
    environment,
    kilobytes,
    percent,
    right_aligned,
    set_names,
    three_digits,
)
from ..tasks import task_of
from .image_bytes import bytes_per_image
from .memory import peak_memory
from .pareto import cost_figure
from .speed import inference_seconds

MEGABYTE = 10**6


class Entry(NamedTuple):
    """A network of the report.

    Args:
        name: Its name in the report.
        cfg: Its config; of a distiller, the deployed network is measured.
        checkpoint: Its weights, or its ONNX file; None: the initial weights, without a score.
    """

    name: str
    cfg: Config
    checkpoint: Path | None

    @property
    def is_onnx(self) -> bool:
        """Whether ONNX Runtime runs it."""
        return self.checkpoint is not None and self.checkpoint.suffix == '.onnx'

    def deployed(self, threads: int) -> Config:
        """Return its config, with the ONNX file as the model if it is one."""
        return with_file(self.cfg, self.checkpoint, threads) if self.is_onnx else self.cfg


class Options(NamedTuple):
    """Options of the measurement.

    Args:
        batch_sizes: Numbers of images for the throughput; latency is that of one image.
        rounds: Number of measurements of each time.
        jpeg_qualities: Qualities from 1 to 100.
        images: Number of validation images that are encoded.
        device: ``'cpu'`` or ``'cuda'``.
    """

    batch_sizes: Sequence[int]
    rounds: int
    jpeg_qualities: Sequence[int]
    images: int
    device: str


def rows_of(entries: Sequence[Entry], options: Options, work_dir: Path) -> list[dict[str, Any]]:
    """Measure networks.

    Returns:
        A row for each: ``name``, ``view``, the entries of :func:`costs`, ``latency_ms``, on a CPU
        ``latency_one_thread_ms``, ``images_per_second_<batch>``, ``size_mb``, ``memory_mb``, bytes
        by format, and the metrics if it has a checkpoint.
    """
    threads = torch.get_num_threads()
    models = {entry.name: _model(entry, options.device, threads) for entry in entries}
    sizes = dict.fromkeys([1, *options.batch_sizes])
    seconds = inference_seconds(models, list(sizes), options.rounds, options.device)
    alone = _latency_of_one_thread(entries, options)
    rows = []
    for entry in entries:
        print(f'{entry.name}: memory, link{", score" if entry.checkpoint else ""}', flush=True)
        taken = seconds[entry.name]
        rows.append(
            dict(
                name=entry.name,
                view=view(entry.cfg),
                **costs(entry.cfg),
                latency_ms=1000 * taken[1],
                **alone.get(entry.name, {}),
                **{f'images_per_second_{size}': size / taken[size] for size in options.batch_sizes},
                size_mb=_bytes(entry, models[entry.name][0]) / MEGABYTE,
                memory_mb=None if entry.is_onnx else peak_memory(entry.cfg, options.device),
                **bytes_per_image(models[entry.name][1], options.jpeg_qualities, options.images),
                **_scores(entry, work_dir),
            )
        )
    return rows


def _model(entry: Entry, device: str, threads: int) -> tuple[nn.Module, BaseDataset]:
    """Build a network with its weights, and the set whose images it reads."""
    cfg = entry.deployed(threads)
    model = build_model(cfg)
    if entry.checkpoint and not entry.is_onnx:
        model.load_state_dict(student_part(load_data(entry.checkpoint)))
    return model.to(device), build_dataset(cfg)


def _latency_of_one_thread(
    entries: Sequence[Entry], options: Options
) -> dict[str, dict[str, float]]:
    """Measure the latency on one thread of the CPU, in turn; nothing on a GPU."""
    if options.device != 'cpu':
        return {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        models = {entry.name: _model(entry, 'cpu', 1) for entry in entries}
        seconds = inference_seconds(models, [1], options.rounds, 'cpu')
    finally:
        torch.set_num_threads(threads)
    return {name: dict(latency_one_thread_ms=1000 * taken[1]) for name, taken in seconds.items()}


def _bytes(entry: Entry, model: nn.Module) -> int:
    """Return the size of an ONNX file, or of a network's weights."""
    if entry.is_onnx:
        return entry.checkpoint.stat().st_size
    return sum(value.nbytes for value in model.state_dict().values())


def _scores(entry: Entry, work_dir: Path) -> dict[str, float | None]:
    if entry.checkpoint is None:
        return {}
    return measure(entry.cfg, entry.checkpoint, work_dir / 'test' / entry.name)


def write(rows: list[dict[str, Any]], entries: Sequence[Entry], options: Options, out: Path) -> str:
    """Write costs.json, costs.csv and costs.md.

    Returns:
        The table for the screen.
    """
    scope = task_of(entries[0].cfg).scope
    made = environment(scope)
    if options.device == 'cpu':  # the machine may have a GPU, too
        made['device'] = 'cpu'
    command = shlex.join(['python', *sys.argv])
    content = dict(rows=rows, images=options.images, command=command, environment=made)
    (out / 'costs.json').write_text(json.dumps(content, indent=2) + '\n')
    keys = list(dict.fromkeys(key for row in rows for key in row))
    with (out / 'costs.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(rows)
    cells = table(rows)
    explanation = notes(made, options.images)
    markdown = right_aligned(cells, GithubFlavoredMarkdownTable)
    (out / 'costs.md').write_text(f'{markdown}\n\n{explanation}\n', encoding='utf-8')
    return f'{right_aligned(cells, AsciiTable)}\n{explanation}'


def notes(made: dict[str, str], images: int) -> str:
    """Explain the columns; ``made`` is the environment of the measurement."""
    return (
        'Latency (of one image), throughput and peak memory are those of preprocessing, network '
        'and post-processing; an ONNX file is run by ONNX Runtime, and its memory is not measured. '
        'Size: of the weights, or of the file. Times are medians on a '
        f'{made["device"].upper()}, with all networks measured in turn: compare them only with '
        'each other. A multiplication and its addition '
        f'are one FLOP. Bytes: the mean of {images} validation images as large as the network '
        'reads them; if it reads them enlarged, as large as they are before.'
    )


def scores_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return key → title of the score of each validation set."""
    detection = any(key.endswith('bbox_mAP') for row in rows for key in row)
    key, title = ('bbox_mAP', 'AP') if detection else ('top1', 'top-1')
    return {
        f'{name}/{key}' if name else key: f'{title}, {name}' if name else title
        for name in set_names(rows)
    }


def table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells of a table, the header first."""
    scores = scores_of(rows)
    throughput = [name for name in rows[0] if name.startswith('images_per_second_')]
    link = [name for name in rows[0] if name == 'png' or name.startswith('jpeg')]
    # Records from before they were measured have neither.
    one = [name for name in rows[0] if name == 'latency_one_thread_ms']
    size = [name for name in rows[0] if name == 'size_mb']
    header = (
        *('network', 'image', *scores.values()),
        *('parameters', 'FLOPs', 'latency', *['1 thread'] * len(one)),
        *(*['size'] * len(size), 'memory'),
        *(f'images/s at {name.rpartition("_")[2]}' for name in throughput),
        *(name.upper().replace('JPEG', 'JPEG ') for name in link),
    )
    return [
        header,
        *(
            (
                row['name'],
                '×'.join(map(str, row['image_side'])),
                *(percent([row.get(key)]) for key in scores),
                three_digits(row['parameters']),
                three_digits(row['flops']),
                f'{row["latency_ms"]:.1f} ms',
                *(f'{row[name]:.1f} ms' for name in one),
                *(f'{row[name]:.2f} MB' for name in size),
                '–' if row['memory_mb'] is None else f'{row["memory_mb"]:.0f} MB',
                *(f'{row[name]:.1f}' for name in throughput),
                *(kilobytes(row[name]) for name in link),
            )
            for row in rows
        ),
    ]


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Plot the score against each cost, for each validation set."""
    shown = dict(
        flops='FLOPs',
        parameters='parameters',
        latency_ms='latency of one image, ms',
        memory_mb='peak memory of one image, MB',
        png='bytes on the link, PNG',
    )
    jpeg = [name for name in rows[0] if name.startswith('jpeg')]
    shown |= {name: f'bytes on the link, JPEG {name[4:]}' for name in jpeg[:1]}
    return cost_figure(rows, shown, scores_of(rows))
