"""Position embeddings, which must be resized where a student has those of its assistant."""

from __future__ import annotations

import copy
import re

from torch import nn

_POSITION = re.compile('pos|relative_|attention_bias')


def check_positions(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse a student that could not take over the position embedding of its assistant.

    MMEngine leaves a weight of another shape out when it loads a checkpoint, and only logs it. A
    teacher of another network, whose weights the student does not start from, is not looked at:
    the backbones' weights must differ by position embeddings only.

    Args:
        student: A classifier.
        teacher: The classifier it learns from.

    Raises:
        ValueError: They are one network for images of two sizes, and the backbone cannot resize
            a position embedding from the one to the other.
    """
    own, other = student.backbone.state_dict(), teacher.backbone.state_dict()
    changed = [name for name in own if name in other and own[name].shape != other[name].shape]
    positions = [name for name in changed if _POSITION.search(name)]
    if own.keys() != other.keys() or not changed or positions != changed:
        return
    try:
        copy.deepcopy(student.backbone).load_state_dict(other)
    except (AssertionError, RuntimeError) as error:
        name = changed[0]
        # Of a size mismatch PyTorch's message says no more than this one.
        reason = f': {error}' if isinstance(error, AssertionError) else ''
        raise ValueError(
            f'backbone.{name} is a position embedding that cannot be resized, from the '
            f'{tuple(other[name].shape)} of the assistant to the {tuple(own[name].shape)} of the '
            f'student, so a {type(student.backbone).__name__} cannot start from its weights{reason}'
        ) from error
