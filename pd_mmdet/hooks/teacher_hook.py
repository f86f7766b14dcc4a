from __future__ import annotations

import copy
from collections.abc import Iterator
from logging import Logger

import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.engine.hooks import PipelineSwitchHook
from mmengine.dataset import Compose, pseudo_collate
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ..checkpoint import plain_data_only
from ..distillers.detector_trial import TeacherScore
from ..distillers.distiller import Distiller
from ..distillers.teacher import Teacher
from ..transforms import LowResolution
from ..version import __version__
from .samples import evenly_spaced, first_set, transforms_of


@HOOKS.register_module()
class TeacherHook(Hook):
    """Check the teacher and the checkpoints of a training.

    - Checkpoints are opened as plain data: no code from a file is executed.
    - Before training, the teacher is tried on a few validation images. So a teacher that has not
      learnt the task, or knows its classes in another order, is noticed at once. Its classes must
      be those of the training set.
    - From initial weights (``load_from``) only those of the student are loaded, not the
      training-only modules of another training.
    - A training cannot be resumed with another teacher.
    - Samples of small images must contain their ``scale_factor``, so that predictions can be
      rescaled to pixels of the file.

    The hook also works for a model without a teacher.

    Args:
        num_images: Largest number of validation images for the trial, evenly spaced.
        min_score: If the score of the trial is below this, a warning lists possible reasons. The
            score is from 0 to 1: AP at IoU 0.5 of a detector; top-1 accuracy of a classifier,
            scaled so that 0 is random guessing.
    """

    priority = 'HIGH'  # before EMAHook (at most ABOVE_NORMAL), which copies the loaded weights

    def __init__(self, num_images: int = 32, min_score: float = 0.05) -> None:
        self.num_images = num_images
        self.min_score = min_score

    def before_run(self, runner: Runner) -> None:
        """Make the runner open checkpoints as plain data."""
        plain_data_only()

    def before_train(self, runner: Runner) -> None:
        """Check that data and model fit together, then try the teacher.

        Raises:
            ValueError: A pipeline does not suit the distiller, or drops ``scale_factor``, or the
                teacher was trained for other classes than those of the training set.
        """
        if runner.val_loop is not None:
            check_scale(runner.val_loop.dataloader.dataset)
        model = _unwrapped(runner.model)
        if isinstance(model, Distiller):
            for pipeline in _pipelines(runner):
                model.check_pipeline(pipeline)
        teacher = getattr(model, 'teacher', None)
        if teacher is None:
            return
        _check_classes(teacher, runner.train_dataloader.dataset)
        if not is_main_process():
            return
        if runner.val_loop is None:
            runner.logger.info('the teacher is not tried: there is no val_dataloader')
            return
        loader = runner.val_loop.dataloader
        dataset = copy.deepcopy(first_set(loader.dataset))
        if _yields(dataset, model.view, teacher.view):
            images = evenly_spaced(dataset, self.num_images, pseudo_collate, loader.num_workers)
            self._try(model, images, runner.logger)
        else:
            runner.logger.info(
                'the teacher is not tried: the validation pipeline has no LowResolution, so it '
                f'returns the view {model.view!r} only, but the teacher reads {teacher.view!r}'
            )

    def _try(self, model: Distiller, images: DataLoader, logger: Logger) -> None:
        teacher = model.teacher
        where = f'{len(images)} validation images ({teacher.view})'
        trial = _try_out(model, images)
        if trial is None:
            logger.info(f'the teacher is not tried: there are no annotations on {where}')
            return
        logger.info(f'teacher on {where}: {trial.text}')
        if trial.confused:
            logger.warning(
                f'THE TEACHER FINDS THE OBJECTS, BUT GIVES THEM OTHER CLASSES, {trial.text}: was '
                f'{teacher.checkpoint} trained with the classes of the training set in another '
                'order? It would teach the student wrong classes'
            )
        elif trial.score < self.min_score:
            logger.warning(
                f'THE TEACHER FINDS ALMOST NOTHING, {trial.text}, so the student cannot learn from '
                f'it. Is {teacher.checkpoint} the checkpoint of a trained model? Was it trained '
                'with these classes in this order, with the mean, std and channel order of '
                f'teacher.cfg, and on images as large as the view {teacher.view!r}?'
            )

    def before_test(self, runner: Runner) -> None:
        """Check the test pipeline.

        Raises:
            ValueError: It drops ``scale_factor``.
        """
        check_scale(runner.test_loop.dataloader.dataset)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write a description of the distiller and its teacher into the checkpoint."""
        model = _unwrapped(runner.model)
        teacher = getattr(model, 'teacher', None)
        if teacher is not None:
            # Compared on resume. Checkpoints of version 0.1 have only this entry.
            checkpoint['teacher'] = dict(fingerprint=teacher.fingerprint)
        if isinstance(model, Distiller):
            checkpoint['pd_mmdet'] = trained_as(model)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the teacher if a training is resumed; otherwise keep only the student's weights.

        Raises:
            ValueError: The training had another teacher, or no weight fits the model.
        """
        model = _unwrapped(runner.model)
        if runner._resume:
            _check_fingerprint(getattr(model, 'teacher', None), checkpoint)
        else:
            # The averaged weights are in `state_dict`. Otherwise MMPretrain's EMAHook would load
            # this entry, too.
            checkpoint.pop('ema_state_dict', None)
            _keep_student(checkpoint.get('state_dict', checkpoint), model, runner.logger)


def trained_as(model: Distiller) -> dict[str, str | None]:
    """Describe a distiller as plain data.

    Returns:
        ``version`` of this package, class name of the ``distiller``, ``view`` that the student
        reads, ``ratio`` of the views such as '2' or '3/2', and ``teacher_fingerprint`` (None
        without a teacher).
    """
    # The first class is made at run time from the distiller's and the student's class.
    _, distiller, *_ = type(model).__mro__
    return dict(
        version=__version__,
        distiller=distiller.__name__,
        view=model.view,
        ratio=str(model.ratio),
        teacher_fingerprint=model.teacher and model.teacher.fingerprint,
    )


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _pipelines(runner: Runner) -> Iterator[list[BaseTransform]]:
    yield list(transforms_of(runner.train_dataloader.dataset))
    for hook in runner.hooks:
        # This hook has the config of the pipeline for the last epochs.
        if isinstance(hook, PipelineSwitchHook):
            yield Compose(hook.switch_pipeline).transforms
    if runner.val_loop is not None:
        yield list(transforms_of(runner.val_loop.dataloader.dataset))


def check_scale(dataset: Dataset) -> None:
    """Refuse a pipeline that does not pack the ``scale_factor`` of its small image.

    Some heads would predict without an error, in the wrong pixels.

    Raises:
        ValueError: ``scale_factor`` is not in ``meta_keys`` of ``PackDetInputs``.
    """
    transforms = list(transforms_of(dataset))
    packs = [getattr(transform, 'pack', transform) for transform in transforms]
    if any(isinstance(transform, LowResolution) for transform in transforms):
        for pack in packs:
            if isinstance(pack, PackDetInputs) and 'scale_factor' not in pack.meta_keys:
                raise ValueError(
                    f'PackDetInputs(meta_keys={pack.meta_keys}) after LowResolution: add '
                    "'scale_factor', otherwise predictions stay in pixels of the small image"
                )


def _check_classes(teacher: Teacher, dataset: Dataset) -> None:
    classes = getattr(first_set(dataset), 'metainfo', {}).get('classes')
    if teacher.classes and classes and teacher.classes != tuple(classes):
        raise ValueError(
            f'the teacher {teacher.checkpoint} was trained for the classes {teacher.classes}, but '
            f'the training set has {tuple(classes)}: they must be the same, in the same order'
        )


def _yields(dataset: Dataset, student_view: str, teacher_view: str) -> bool:
    """Change a dataset so that it returns the teacher's view, with the instances for a metric.

    Returns:
        True if it returns the teacher's view. Without ``LowResolution`` it always returns the
        student's view.
    """
    found = student_view == teacher_view
    for transform in transforms_of(dataset):
        if isinstance(transform, LowResolution):
            transform.views = (teacher_view,)
            found = True
        pack = getattr(transform, 'pack', transform)
        if hasattr(pack, 'meta_keys'):
            pack.meta_keys = (*pack.meta_keys, 'instances')
    return found


@torch.no_grad()
def _try_out(model: Distiller, images: DataLoader) -> TeacherScore | None:
    teacher = model.teacher.model
    device = next(teacher.parameters()).device
    teacher.to(device)  # tell its data preprocessor the device
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        return model.trial(teacher, images)


def _check_fingerprint(teacher: Teacher | None, checkpoint: dict) -> None:
    saved = checkpoint.get('teacher', {}).get('fingerprint')
    if teacher and teacher.fingerprint and saved and saved != teacher.fingerprint:
        raise ValueError(
            f'the weights of the teacher {teacher.checkpoint} changed since this training was '
            f'saved (SHA-256 {teacher.fingerprint[:12]}… instead of {saved[:12]}…): restore that '
            'file, or start a new training without resume'
        )


def _keep_student(weights: dict, model: nn.Module, logger: Logger) -> None:
    """Remove in place all weights that are not the student's.

    Raises:
        ValueError: None of the weights fits the model.
    """
    for name in [name for name in weights if _without_wrapper(name).startswith('distill.')]:
        del weights[name]
    wanted = {
        _without_wrapper(name): value.shape
        for name, value in model.state_dict().items()
        if not _without_wrapper(name).startswith('distill.')
    }
    shapes = {
        _without_wrapper(name): getattr(value, 'shape', None) for name, value in weights.items()
    }
    fit = sum(shapes[name] == wanted[name] for name in wanted.keys() & shapes.keys())
    misfit = len(wanted.keys() & shapes.keys()) - fit
    if not fit:
        raise ValueError(
            f'none of the {len(weights)} weights of the loaded checkpoint, such as '
            f'{next(iter(weights), None)!r}, has the name and shape of a weight of the model, such '
            f'as {next(iter(wanted))!r}: load_from must name a checkpoint of the same model'
        )
    text = f'{fit} of the {len(wanted)} weights of the model are in the loaded checkpoint'
    if misfit:
        text += (
            f', {misfit} have another shape: they are skipped, except position embeddings, which '
            'are resized'
        )
    logger.info(text)


def _without_wrapper(name: str) -> str:
    """Remove the prefix of a wrapper (DDP, test-time augmentation) from the name of a weight."""
    return name.removeprefix('module.')
