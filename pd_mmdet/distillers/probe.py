"""Find out what networks put out at their taps: by a pass over a blank image, before training."""

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
    """What both networks put out for one blank image.

    Attributes:
        student: Tap -> output of the student.
        teacher: Tap -> output of the teacher.
        sides: Side of the image in each view, in pixels.
    """

    student: dict[str, Any]
    teacher: dict[str, Any]
    sides: dict[str, int]


def probe(distiller: Any, student_taps: list[str], teacher_taps: list[str]) -> Probe:
    """Run both networks on an image of a size that both can read.

    Args:
        distiller: A :class:`~pd_mmdet.distillers.distiller.Distiller`.
        student_taps: Taps of the student.
        teacher_taps: Taps of the teacher; it does not run where there are none.

    Raises:
        ValueError: They run on no size, a tap names nothing or does not run, or nothing before a
            tap of the student is trainable.
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
        'student and teacher do not both run on images of one photograph; on hr and lr of\n'
        + '\n'.join(f'  {sides} pixels: {error!r}' for sides, error in errors.items())
    )


def _sides(distiller: Any) -> Iterator[dict[str, int]]:
    """Yield sides of the image in each view, in the order in which they are tried."""
    ratio = distiller.ratio
    # The strides divide the first; SSD and deformable convolutions need a larger map.
    for side in (COARSEST_STRIDE, LARGER_SIDE):
        lr = side * ratio.denominator
        yield dict(lr=lr, hr=int(lr * ratio))
    # Mixers and some transformers read one size only.
    sizes = [(_img_size(distiller), distiller.view)]
    if distiller.teacher is not None:
        sizes.append((_img_size(distiller.teacher.model), distiller.teacher.view))
    for size, view in [*sizes, (USUAL_SIDE, 'hr')]:
        hr = size * (ratio if view == 'lr' else 1)
        lr = hr / ratio
        if size and hr == int(hr) and lr == int(lr):
            yield dict(lr=int(lr), hr=int(hr))


def _img_size(model: nn.Module) -> int:
    """Return the side of the images for which a backbone was made, 0 if it does not say."""
    size: Any = getattr(model.backbone, 'img_size', None) or 0
    return int(size[0] if isinstance(size, Sequence) else size)


def _run(
    distiller: Any, model: nn.Module, taps: Iterable[str], side: str, pixels: int
) -> dict[str, Any]:
    """Run one network on an image of ``pixels`` squared; return its outputs by tap."""
    paths = {tap: Tap.parse(tap).path for tap in taps}
    tapping = distiller.taps(model, paths.values(), side)
    # Models are built on the CPU, also those that only a GPU can train.
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
                'could teach nothing: unfreeze the backbone (frozen_stages=-1) or tap later'
            )
    return {tap: tapped.outputs[path] for tap, path in paths.items()}
