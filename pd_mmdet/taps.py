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
    """A place in a model: the path of a module, and which levels of its output are meant."""

    path: str
    levels: slice

    @classmethod
    def parse(cls, text: str) -> Tap:
        """Read ``'neck'``, ``'neck.afp[1:]'`` or ``'backbone[0]'``.

        Raises:
            ValueError: If ``text`` is not a module's path with an optional index or slice.
        """
        number = r'(-?\d+)'
        match = re.fullmatch(rf'([\w.]+)(?:\[(?:{number}|{number}?:{number}?)\])?', str(text))
        if match is None:
            raise ValueError(f"tap {text!r}: write a module's path, 'neck' or 'neck[1:3]'")
        path, *numbers = match.groups()
        index, start, stop = (None if text is None else int(text) for text in numbers)
        if index is not None:
            return cls(path, slice(index, index + 1 or None))
        return cls(path, slice(start, stop))

    def select(self, output: Any) -> list[Tensor]:
        """The chosen levels of a tapped output, as a list of maps.

        Raises:
            ValueError: If it has none of them.
        """
        levels = as_levels(output)
        chosen = levels[self.levels]
        if not chosen:
            raise ValueError(f'tap {self.path!r} has {len(levels)} levels, none is selected')
        return chosen


def as_levels(output: Any) -> list:
    """A tapped output as a list with an entry a level; one map is a list of one."""
    return [output] if isinstance(output, Tensor) else list(output)


def find_module(model: nn.Module, path: str, side: str) -> nn.Module:
    """The module that a tap names.

    Raises:
        ValueError: If there is none; the message says which names exist near it.
    """
    # Taps ask in every step: the list of all modules is for the message alone.
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
"""The taps whose ``with`` block runs."""


@contextmanager
def unseen() -> Iterator[None]:
    """Hide what modules put out from all taps: a pass that is made beside the one they watch."""
    token = _watching.set(())
    try:
        yield
    finally:
        _watching.reset(token)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in eval mode; afterwards each module's own mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class _AllTapped(Exception):
    """Ends a forward whose remaining part nobody reads."""


class Taps(AbstractContextManager):
    """Collect what named modules put out during one forward pass.

    Args:
        model: The tapped model; its modules keep their hooks, which do nothing outside of the
            ``with`` block: what is compiled does not see hooks that are registered inside of it.
        paths: Paths of the modules, as in ``model.named_modules()``.
        side: What the model is called in messages.
        stop: End the forward pass (and the ``with`` block) once all outputs are there.

    What runs inside of a ``with unseen():`` block is not collected.

    Raises:
        ValueError: If a path names nothing, or a module runs twice in the pass, or a later in-place
            operation overwrote its output: neither has *the* output to hand over.
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
        """Keep what a module puts out, if it is a tapped one."""
        for path, tapped in self.modules.items():
            if tapped is module:
                self._keep(path, output)

    def _keep(self, path: str, output: Any) -> None:
        if path in self.outputs:
            raise ValueError(
                f'tap {path!r} runs more than once in a forward pass: tap another place'
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
                        f'tap {path!r}: a later module overwrites its output in place; tap that one'
                    )
        return exc_type is _AllTapped


def _hook(module: nn.Module) -> None:
    """Let a module hand over what goes on from it, which the last of its hooks can replace."""
    hooks = module._forward_hooks
    if next(reversed(hooks.values()), None) is _hand_over:  # copies of a module carry it, too
        return
    for key in [key for key, hook in hooks.items() if hook is _hand_over]:
        del hooks[key]
    module.register_forward_hook(_hand_over)


def _hand_over(module: nn.Module, args: tuple, output: Any) -> None:
    """A forward hook: what a module puts out, to the taps that watch.

    It knows no model and no taps, so that it stays right in a copy of the model.
    """
    for taps in _watching.get():
        taps.see(module, output)


def versions(output: Any) -> list[int]:
    """How often each map of an output was written to; inference mode does not count that."""
    maps = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    return [leaf._version for leaf in maps if not leaf.is_inference()]
