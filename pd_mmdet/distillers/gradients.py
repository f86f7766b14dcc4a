"""Check for taps without a gradient in training, which building the model cannot find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


def check_gradients(model: nn.Module, outputs: dict[str, Any]) -> None:
    """Refuse tapped outputs of the student without a gradient: their terms could train nothing.

    Args:
        model: The student.
        outputs: Path of a tapped module -> its output in a training step.

    Raises:
        RuntimeError: An output has no gradient. The message says the reason: the module is inside
            a checkpointed one, or all parameters before it are frozen.
    """
    for path, output in outputs.items():
        leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if torch.is_grad_enabled() and leaves and not any(leaf.requires_grad for leaf in leaves):
            before = list(_parameters_before(model, path))
            reason = (
                'is it inside a module that activation_checkpointing names? Use with_cp=True of '
                'the backbone instead'
                if any(parameter.requires_grad for parameter in before)
                else f'all {len(before)} parameters before it have been frozen since the model '
                'was built, perhaps by a hook in custom_hooks, so its term could train nothing: '
                'freeze less, tap a later module, or remove the term'
            )
            raise RuntimeError(f'tap {path!r} of the student has no gradient in training: {reason}')


def _parameters_before(model: nn.Module, path: str) -> Iterator[nn.Parameter]:
    """Yield the parameters of a module, and of all modules registered before it.

    Modules are usually registered in the order in which they run.
    """
    modules = [(name, module) for name, module in model.named_modules() if name]
    inside = [f'{name}.'.startswith(f'{path}.') for name, _ in modules]
    end = len(modules) - inside[::-1].index(True)
    for name, module in modules[:end]:
        # A parent of the module may have parameters that are used after it.
        if not path.startswith(f'{name}.'):
            yield from module.parameters(recurse=False)
