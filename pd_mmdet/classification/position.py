"""Check that a student can load the position embeddings of its assistant."""

from __future__ import annotations

import copy
import re

from torch import nn

_POSITION = re.compile('pos|relative_|attention_bias')


def check_positions(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse a student that cannot load the position embeddings of its assistant.

    When MMEngine loads a checkpoint, it skips weights of another shape and only logs this. So this
    function tries to load them. It ignores a teacher that is another network, because the student
    does not start from its weights: only the position embeddings of the two backbones may have
    different shapes.

    Args:
        student: A classifier.
        teacher: The classifier from which it learns.

    Raises:
        ValueError: Both have the same network, for images of two sizes, and the backbone cannot
            resize a position embedding.
    """
    weights, wanted = teacher.backbone.state_dict(), student.backbone.state_dict()
    changed = [
        name for name in wanted if name in weights and wanted[name].shape != weights[name].shape
    ]
    positions = [name for name in changed if _POSITION.search(name)]
    if wanted.keys() != weights.keys() or not changed or positions != changed:
        return
    try:
        copy.deepcopy(student.backbone).load_state_dict(weights)
    except (AssertionError, RuntimeError) as error:
        name = changed[0]
        # PyTorch's message about different shapes adds nothing to this one.
        reason = f': {error}' if isinstance(error, AssertionError) else ''
        raise ValueError(
            f'backbone.{name} is a position embedding that cannot be resized from '
            f'{tuple(weights[name].shape)} in the assistant to {tuple(wanted[name].shape)} in the '
            f'student, so a {type(student.backbone).__name__} cannot start from the weights of its '
            f'assistant{reason}'
        ) from error
