from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


class Tap(NamedTuple):
    """A place in a model whose output is read: the path of a module, and levels of its output."""

    path: str
    levels: slice

    @classmethod
    def parse(cls, text: str) -> Tap:
        """Read a tap from text, such as ``'neck'``, ``'neck.afp[1:]'`` or ``'backbone[0]'``.

        Raises:
            ValueError: ``text`` is not a module's path with an optional index or slice.
        """
        number = r'(-?\d+)'
        match = re.fullmatch(rf'([\w.]+)(?:\[(?:{number}|{number}?:{number}?)\])?', str(text))
        if match is None:
            raise ValueError(
                f"tap {text!r}: write a module's path such as 'neck', or with levels 'neck[1:3]'"
            )
        path, *numbers = match.groups()
        index, start, stop = (None if text is None else int(text) for text in numbers)
        if index is not None:
            return cls(path, slice(index, index + 1 or None))
        return cls(path, slice(start, stop))

    def select(self, output: Any) -> list[Tensor]:
        """Return the selected levels of a tapped output.

        Args:
            output: A feature map, or a sequence with one for each level.

        Raises:
            ValueError: The output has none of the selected levels.
        """
        levels = as_levels(output)
        chosen = levels[self.levels]
        if not chosen:
            raise ValueError(
                f'tap {self.path!r} has {len(levels)} levels, but its index or slice selects none '
                'of them'
            )
        return chosen


def as_levels(output: Any) -> list:
    """Return a tapped output as a list with one entry for each level; a tensor is one level."""
    return [output] if isinstance(output, Tensor) else list(output)


def find_module(model: nn.Module, path: str, side: str) -> nn.Module:
    """Find a module by its path.

    Args:
        model: The model that contains it.
        path: Its path, as in ``model.named_modules()``.
        side: Name of the model in messages.

    Raises:
        ValueError: There is no such module. The message lists similar names.
    """
    # This runs in every step, so all modules are listed only for the message.
    with suppress(AttributeError):
        if path:
            return model.get_submodule(path)
    modules = dict(model.named_modules())
    near = get_close_matches(path, modules, n=5, cutoff=0.4)
    parent = path.rpartition('.')[0]
    while parent and parent not in modules:
        parent = parent.rpartition('.')[0]
    children = [f'{parent}.{name}'.lstrip('.') for name, _ in modules[parent].named_children()]
    names = ', '.join(dict.fromkeys(near + children))
    raise ValueError(f'tap {path!r} names nothing in the {side}; near it: {names}')


_watching: ContextVar[tuple[Taps, ...]] = ContextVar('watching', default=())
"""The taps that are collecting outputs, inside their ``with`` block."""


@contextmanager
def unseen() -> Iterator[None]:
    """Hide all outputs from all taps inside a ``with`` block, for an extra forward pass."""
    token = _watching.set(())
    try:
        yield
    finally:
        _watching.reset(token)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set a model to eval mode inside a ``with`` block; then restore the mode of each module."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def run_as_in_training(head: nn.Module, feats: Any) -> Any:
    """Run a head in training mode, but keep the mode of its norm and dropout layers.

    In eval mode some heads return their output in other units (pixels instead of strides).
    """
    mode, head.training = head.training, True
    try:
        return head(feats)
    finally:
        head.training = mode


class _AllTapped(Exception):
    """Stop a forward pass when all tapped outputs are there."""


class Taps(AbstractContextManager):
    """Collect the outputs of modules during one forward pass, inside a ``with`` block.

    Outputs inside a ``with unseen():`` block are not collected.

    Args:
        model: The tapped model. The hooks stay on its modules and do nothing outside the ``with``
            block, because a compiled model does not see hooks that are added after compilation.
        paths: Paths of the modules, as in ``model.named_modules()``.
        side: Name of the model in messages.
        stop: Stop the forward pass (and leave the ``with`` block) once all outputs are there.

    Raises:
        ValueError: A path names no module; or a module runs twice in the pass; or a later in-place
            operation has changed its output.
    """

    def __init__(
        self, model: nn.Module, paths: Iterable[str], side: str = 'model', stop: bool = False
    ) -> None:
        self.model = model
        self.modules = {path: find_module(model, path, side) for path in dict.fromkeys(paths)}
        self.stop = stop
        self.outputs: dict[str, Any] = {}

    def __enter__(self) -> Taps:
        self.outputs = {}
        self._versions: dict[str, list[int]] = {}
        for module in self.modules.values():
            _hook(module)
        self._token = _watching.set((*_watching.get(), self))
        return self

    def see(self, module: nn.Module, output: Any) -> None:
        """Keep the output of a module, if the module is tapped."""
        for path, tapped in self.modules.items():
            if tapped is module:
                self._keep(path, output)

    def _keep(self, path: str, output: Any) -> None:
        if path in self.outputs:
            raise ValueError(
                f'tap {path!r} runs more than once in a forward pass; tap a module that runs once'
            )
        self.outputs[path] = output
        self._versions[path] = versions(output)
        if self.stop and len(self.outputs) == len(self.modules):
            raise _AllTapped

    def __exit__(self, exc_type: type | None, *_: object) -> bool:
        _watching.reset(self._token)
        if exc_type in (None, _AllTapped):
            for path, noted in self._versions.items():
                if versions(self.outputs[path]) != noted:
                    raise ValueError(
                        f'tap {path!r}: a later module overwrites its output in place; tap that '
                        'module'
                    )
        return exc_type is _AllTapped


def _hook(module: nn.Module) -> None:
    """Register the hook of taps as a module's last one, since any hook can replace the output."""
    hooks = module._forward_hooks
    if next(reversed(hooks.values()), None) is _hand_over:  # a copied module has the hook already
        return
    for key in [key for key, hook in hooks.items() if hook is _hand_over]:
        del hooks[key]
    module.register_forward_hook(_hand_over)


def _hand_over(module: nn.Module, args: tuple, output: Any) -> None:
    """Pass the output of a module to all collecting taps: a forward hook.

    The hook refers to no model and no taps, so that it also works in a copy of the model.
    """
    for taps in _watching.get():
        taps.see(module, output)


def versions(output: Any) -> list[int]:
    """Count how often each tensor of an output was changed in place; not in inference mode."""
    maps = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    return [leaf._version for leaf in maps if not leaf.is_inference()]
