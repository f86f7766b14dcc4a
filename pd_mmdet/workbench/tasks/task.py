"""Describe a task, detection or classification, field by field."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import DumpResults
from mmengine.registry import Registry

Terms = dict[str, dict[str, Any]]
"""Name of a distillation term → its config."""


@dataclass(frozen=True, eq=False)
class Task:
    """All that differs between detectors and classifiers outside of the training itself.

    Args:
        name: Title for the screen.
        kind: Word for a model of this task in messages.
        library: Name of the library in messages.
        scope: Scope of the library's registries, and its Python package.
        package: Module that a config imports (``custom_imports``) to distil.

        models: Registry that builds models.
        datasets: Registry that builds datasets.

        distiller: Class name of the distiller.
        assistant: Class name of the wrapper that gives the student's network, on the large image,
            the outputs that it has on the small one. None where the size of the outputs does not
            depend on the image: then the assistant is the network itself.
        hooks: Types of the hooks that a recipe adds.
        packing: Type of the transform that packs an image, before which the views are made.
        preprocessor_in_model: Whether a recipe moves a data preprocessor that stands beside the
            model into the model.
        fixed_size: Whether the ratio must divide the sides to which a pipeline crops.
        different_network_terms: Terms that a recipe tries between networks with heads of their
            own (teacher → assistant, teacher → student).
        same_priors_terms: Further ones for networks whose heads have as many cells.
        same_network_terms: Terms that a recipe tries between the student and its assistant.
        student_weight: Factor of the student's own losses beside these terms.
        isrd_weight: Weight of ISRD.
        small_model: Gives the changes that a model's config needs when its images become smaller
            by a ratio.
        heads: Lists the configs of a model's heads that tell classes apart.
        one_stage_note: Sentence for the comment of a recipe's ``one_stage.py``.
        pipeline_note: Sentence for the comment on a recipe's pipelines.

        metrics: Brings what a runner's test returns to the names of the results, 0 to 1; -1 where
            a measure has no meaning, None where it was not measured.
        evaluators: Lists the evaluators for the validation set with this index; the pipeline in
            the config is changed where an evaluator needs that.
        notes: What the columns of the results are.
        choose_images: Picks the indices of the images for the comparison.
        draw_comparison: Draws images with the truth and with each model's predictions. Takes the
            indices, and by model name the dataset, the images (C, H, W) and the predictions.

        complete_loaders: Adds to a config's dataloaders what the library's own tools add.
        show_predictions: Turns on the pictures of predictions in a config, for the options
            ``show``, ``show_dir``, ``wait_time`` and ``tta`` of a command line.
        dump_metric: Metric that writes all predictions to a file.
        tta_model: Default model for test-time augmentation.
    """

    name: str
    kind: str
    library: str
    scope: str
    package: str

    models: Registry
    datasets: Registry

    distiller: str
    hooks: tuple[str, ...]
    packing: str
    preprocessor_in_model: bool
    fixed_size: bool
    different_network_terms: Terms
    same_network_terms: Terms
    isrd_weight: float
    small_model: Callable[[dict, Fraction], dict[str, Any]]
    heads: Callable[[dict], list[dict]]

    metrics: Callable[[dict[str, float]], dict[str, float | None]]
    evaluators: Callable[[Config, int], list[dict]]
    notes: str
    choose_images: Callable[[BaseDataset], list[int]]
    draw_comparison: Callable[[Sequence[int], dict[str, tuple]], Figure]

    complete_loaders: Callable[[Config], None]
    show_predictions: Callable[[Config, Namespace], None]
    dump_metric: type[DumpResults]
    tta_model: dict[str, Any]

    assistant: str | None = None
    same_priors_terms: Terms = field(default_factory=dict)
    student_weight: float = 1.0
    one_stage_note: str = ''
    pipeline_note: str = ''
