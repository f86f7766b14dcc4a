"""Notice taps without a gradient in training, which building the model could not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


def check_gradients(model: nn.Module, outputs: dict[str, Any]) -> None:
    """Refuse tapped outputs without a gradient: their terms would teach nothing.

    Args:
        model: The student.
        outputs: Path of a tapped module -> its output in a training step.

    Raises:
        RuntimeError: Says whether the output is checkpointed or all before it is frozen.
    """
    for path, output in outputs.items():
        leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if torch.is_grad_enabled() and leaves and not any(leaf.requires_grad for leaf in leaves):
            before = list(_parameters_before(model, path))
            reason = (
                'is it inside of what activation_checkpointing names? Use with_cp=True of the '
                'backbone instead'
                if any(parameter.requires_grad for parameter in before)
                else f'all {len(before)} parameters before it have been frozen since the model '
                'was built, as a hook of custom_hooks may do: its term could teach nothing. '
                'Freeze less, tap later, or leave the term out'
            )
            raise RuntimeError(f'tap {path!r} of the student has no gradient in training: {reason}')


def _parameters_before(model: nn.Module, path: str) -> Iterator[nn.Parameter]:
    """Yield those of a module and of all registered before it, as a rule in running order."""
    modules = [(name, module) for name, module in model.named_modules() if name]
    inside = [f'{name}.'.startswith(f'{path}.') for name, _ in modules]
    end = len(modules) - inside[::-1].index(True)
    for name, module in modules[:end]:
        if not path.startswith(f'{name}.'):  # what holds the module may have some that come later
            yield from module.parameters(recurse=False)
