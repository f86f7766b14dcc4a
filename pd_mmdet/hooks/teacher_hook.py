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
    """Look after what a training starts from: its teacher, and the checkpoint it loads.

    - Checkpoints are opened as plain data: nothing that a file says is executed.
    - Before training the teacher is tried on a few validation images, so that one that does not
      know the task, or the order of its classes, is noticed at once. Its classes must be those of
      the training set.
    - Of initial weights (``load_from``) only the student's are taken over, not what another
      training had besides.
    - A training is not resumed with another teacher than it had.
    - Packed samples of small images must say their scale, by which predictions come back.

    A model without a teacher is looked after likewise.

    Args:
        num_images: On how many validation images the teacher is tried at most, evenly spaced.
        min_score: Score of the trial below which a warning says what may be wrong, 0 to 1: of a
            detector AP at IoU 0.5; of a classifier top-1 accuracy, where 0 is guessing.
    """

    priority = 'HIGH'  # EMAHook, which may be ABOVE_NORMAL, copies weights that this has sorted

    def __init__(self, num_images: int = 32, min_score: float = 0.05) -> None:
        self.num_images = num_images
        self.min_score = min_score

    def before_run(self, runner: Runner) -> None:
        """Let the runner open checkpoints as plain data."""
        plain_data_only()

    def before_train(self, runner: Runner) -> None:
        """Compare what the data and the model say, then try the teacher.

        Raises:
            ValueError: If a pipeline does not suit the distiller or loses the scale, or the
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
                f'yields the view {model.view} only, and the teacher reads {teacher.view}'
            )

    def _try(self, model: Distiller, images: DataLoader, logger: Logger) -> None:
        teacher = model.teacher
        where = f'{len(images)} validation images ({teacher.view})'
        trial = _try_out(model, images)
        if trial is None:
            logger.info(f'the teacher is not tried: nothing is annotated on {where}')
            return
        logger.info(f'teacher on {where}: {trial.text}')
        if trial.confused:
            logger.warning(
                f'THE TEACHER FINDS THE OBJECTS, BUT CALLS THEM OTHERWISE, {trial.text}: was '
                f'{teacher.checkpoint} trained with the classes of the training set in another '
                'order? It would teach the student to confuse them'
            )
        elif trial.score < self.min_score:
            logger.warning(
                f'THE TEACHER FINDS NEXT TO NOTHING, {trial.text}, and so has nothing to '
                f'teach. Is {teacher.checkpoint} the checkpoint of a trained model? Was it trained '
                'with these classes in this order, with the mean, std and channel order of '
                f'teacher.cfg, and on images as large as the view {teacher.view}?'
            )

    def before_test(self, runner: Runner) -> None:
        """Compare what the pipeline says.

        Raises:
            ValueError: If it loses the scale.
        """
        check_scale(runner.test_loop.dataloader.dataset)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write into the checkpoint what is trained, and which teacher the training has."""
        model = _unwrapped(runner.model)
        teacher = getattr(model, 'teacher', None)
        if teacher is not None:
            # Resuming compares it; checkpoints of version 0.1 have nothing else.
            checkpoint['teacher'] = dict(fingerprint=teacher.fingerprint)
        if isinstance(model, Distiller):
            checkpoint['pd_mmdet'] = trained_as(model)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the teacher on resume; take over the student's weights otherwise.

        Raises:
            ValueError: If the teacher is another one, or no weight fits the model.
        """
        model = _unwrapped(runner.model)
        if runner._resume:
            _check_fingerprint(getattr(model, 'teacher', None), checkpoint)
        else:
            # The averaged weights are in `state_dict`; MMPretrain's EMAHook would take these, too.
            checkpoint.pop('ema_state_dict', None)
            _keep_student(checkpoint.get('state_dict', checkpoint), model, runner.logger)


def trained_as(model: Distiller) -> dict[str, str | None]:
    """Describe a distiller in plain data.

    Returns:
        ``version`` of this package, class name of the ``distiller``, the ``view`` that its student
        reads, ``ratio`` such as '2' or '3/2', and ``teacher_fingerprint`` (None without a teacher).
    """
    _, distiller, *_ = type(model).__mro__  # the first is made at run time, of it and the student's
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
        # It has the pipeline of the last epochs, as a config.
        if isinstance(hook, PipelineSwitchHook):
            yield Compose(hook.switch_pipeline).transforms
    if runner.val_loop is not None:
        yield list(transforms_of(runner.val_loop.dataloader.dataset))


def check_scale(dataset: Dataset) -> None:
    """Refuse a pipeline that does not tell the scale of its small image: not every head notices.

    Raises:
        ValueError: ``PackDetInputs`` after ``LowResolution`` leaves out ``scale_factor``.
    """
    transforms = list(transforms_of(dataset))
    packs = [getattr(transform, 'pack', transform) for transform in transforms]
    if any(isinstance(transform, LowResolution) for transform in transforms):
        for pack in packs:
            if isinstance(pack, PackDetInputs) and 'scale_factor' not in pack.meta_keys:
                raise ValueError(
                    f'PackDetInputs(meta_keys={pack.meta_keys}) after LowResolution: add '
                    "'scale_factor', or predictions stay in the pixels of the small image"
                )


def _check_classes(teacher: Teacher, dataset: Dataset) -> None:
    classes = getattr(first_set(dataset), 'metainfo', {}).get('classes')
    if teacher.classes and classes and teacher.classes != tuple(classes):
        raise ValueError(
            f'the teacher {teacher.checkpoint} was trained for the classes {teacher.classes}, the '
            f'training set has {tuple(classes)}: they must be the same, in the same order'
        )


def _yields(dataset: Dataset, student_view: str, teacher_view: str) -> bool:
    """Let a dataset yield the teacher's view, with the instances that a metric needs.

    Returns:
        Whether it can: without ``LowResolution`` it yields what the student reads.
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
    teacher.to(device)  # its preprocessor, too, must know
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        return model.trial(teacher, images)


def _check_fingerprint(teacher: Teacher | None, checkpoint: dict) -> None:
    saved = checkpoint.get('teacher', {}).get('fingerprint')
    if teacher and teacher.fingerprint and saved and saved != teacher.fingerprint:
        raise ValueError(
            f'the weights of the teacher {teacher.checkpoint} changed since this training was '
            f'saved (SHA-256 {teacher.fingerprint[:12]}… instead of {saved[:12]}…): restore that '
            'file, or start anew without resume'
        )


def _keep_student(weights: dict, model: nn.Module, logger: Logger) -> None:
    """Remove in place what is not the student's; ``weights`` may carry the prefix of a wrapper."""
    for name in [name for name in weights if _plain(name).startswith('distill.')]:
        del weights[name]
    wanted = {  # the model has a prefix where test-time augmentation wraps it
        _plain(name): value.shape
        for name, value in model.state_dict().items()
        if not _plain(name).startswith('distill.')
    }
    shapes = {_plain(name): getattr(value, 'shape', None) for name, value in weights.items()}
    fit = sum(shapes[name] == wanted[name] for name in wanted.keys() & shapes.keys())
    others = len(wanted.keys() & shapes.keys()) - fit
    if not fit:
        raise ValueError(
            f'none of the {len(weights)} weights of the loaded checkpoint, such as '
            f'{next(iter(weights), None)!r}, has the name and shape of one of the model, such as '
            f'{next(iter(wanted))!r}: load_from must name a checkpoint of the same model'
        )
    text = f'{fit} of the {len(wanted)} weights of the model are in the loaded checkpoint'
    if others:
        text += (
            f', {others} in another shape: left out, but for position embeddings, which are resized'
        )
    logger.info(text)


def _plain(name: str) -> str:
    return name.removeprefix('module.')
