"""Probe: the outputs of both networks at their taps for a blank image, before training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..channels import image_channels
from ..cpu_operators import cpu_operators
from ..taps import Tap, evaluating

COARSEST_STRIDE = 128
LARGER_SIDE = 4 * COARSEST_STRIDE
USUAL_SIDE = 224


class Probe(NamedTuple):
    """The outputs of both networks for one blank image.

    Attributes:
        student: Tap -> output of the student.
        teacher: Tap -> output of the teacher.
        sides: View -> height and width of the image in pixels.
    """

    student: dict[str, Any]
    teacher: dict[str, Any]
    sides: dict[str, int]


def probe(distiller: Any, student_taps: list[str], teacher_taps: list[str]) -> Probe:
    """Run both networks on a blank image, of the first size that both can read.

    Args:
        distiller: A :class:`~pd_mmdet.distillers.distiller.Distiller`.
        student_taps: Taps of the student.
        teacher_taps: Taps of the teacher; if there are none, it does not run.

    Raises:
        ValueError: The networks can read none of the sizes that are tried; or a tap names no
            module, or one that does not run; or there is nothing trainable before a tap of the
            student.
    """
    errors = {}
    for sides in _sides(distiller):
        try:
            student = _run(distiller, distiller, student_taps, 'student', sides[distiller.view])
            teacher = {}
            if teacher_taps:
                side = sides[distiller.teacher.view]
                teacher = _run(distiller, distiller.teacher.model, teacher_taps, 'teacher', side)
            return Probe(student, teacher, sides)
        except (AssertionError, RuntimeError) as error:
            errors['{hr} and {lr}'.format(**sides)] = error
    raise ValueError(
        'no size was found at which both student and teacher run; with hr and lr of\n'
        + '\n'.join(f'  {sides} pixels: {error!r}' for sides, error in errors.items())
    )


def _sides(distiller: Any) -> Iterator[dict[str, int]]:
    """Yield the sizes to try: view -> height and width in pixels."""
    ratio = distiller.ratio
    # All strides divide the first size. SSD and deformable convolutions need a larger image.
    for side in (COARSEST_STRIDE, LARGER_SIDE):
        lr = side * ratio.denominator
        yield dict(lr=lr, hr=int(lr * ratio))
    # MLP-Mixer and some transformers read images of one size only.
    sizes = [(_img_size(distiller), distiller.view)]
    if distiller.teacher is not None:
        sizes.append((_img_size(distiller.teacher.model), distiller.teacher.view))
    for size, view in [*sizes, (USUAL_SIDE, 'hr')]:
        hr = size * (ratio if view == 'lr' else 1)
        lr = hr / ratio
        if size and hr == int(hr) and lr == int(lr):
            yield dict(lr=int(lr), hr=int(hr))


def _img_size(model: nn.Module) -> int:
    """Return the side of the images for which a backbone was made, or 0 if it has no img_size."""
    size: Any = getattr(model.backbone, 'img_size', None) or 0
    return int(size[0] if isinstance(size, Sequence) else size)


def _run(
    distiller: Any, model: nn.Module, taps: Iterable[str], side: str, pixels: int
) -> dict[str, Any]:
    """Run one network on a blank image of ``pixels`` × ``pixels``; return its outputs by tap."""
    paths = {tap: Tap.parse(tap).path for tap in taps}
    tapping = distiller.taps(model, paths.values(), side)
    # All models are built on the CPU, even those with operators that exist only for GPUs.
    with cpu_operators(), torch.enable_grad(), evaluating(model):
        image = torch.zeros(1, image_channels(model, pixels), pixels, pixels)
        with tapping as tapped:
            distiller.forward_to_outputs(model, image, {*paths.values()})
    for tap, path in paths.items():
        if tapped.outputs.get(path) is None:
            raise ValueError(f'tap {tap!r} does not run in a forward pass of the {side}')
        leaves = tree_leaves(tapped.outputs[path])
        trainable = any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves)
        if side == 'student' and not trainable:
            raise ValueError(
                f'tap {tap!r} of the student has nothing trainable before it, so its term '
                'could train nothing: unfreeze the backbone (frozen_stages=-1) or tap a later '
                'module'
            )
    return {tap: tapped.outputs[path] for tap, path in paths.items()}
