"""The hooks that a config's runner will have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import HOOKS, Registry


class Hook(NamedTuple):
    """A hook of a config.

    Args:
        option: What names it, like ``'custom_hooks.0'``.
        kind: Its class.
        said: What the config says of it: its type, the arguments, and perhaps a priority.
    """

    option: str
    kind: type
    said: dict[str, Any]

    def build(self) -> Any:
        arguments = {key: self.said[key] for key in self.said if key not in ('type', 'priority')}
        return self.kind(**arguments)


def hooks(cfg: Config) -> Iterator[Hook]:
    """The hooks that a config names, and the CheckpointHook that a runner has by itself.

    Raises:
        ValueError: There is no hook of such a type.
    """
    named = {'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1)}
    for name, hook in (cfg.get('default_hooks') or {}).items():
        named[f'default_hooks.{name}'] = hook
    for index, hook in enumerate(cfg.get('custom_hooks') or ()):
        named[f'custom_hooks.{index}'] = hook
    for option, hook in named.items():
        if hook is not None:  # which takes away one of the runner's own
            yield Hook(option, class_of(cfg, option, hook, HOOKS), hook)


def class_of(cfg: Config, option: str, said: dict[str, Any], registry: Registry) -> type:
    """The class of what an option of a config says, whose type is a class or the name of one.

    Raises:
        ValueError: The registry has none of that name.
    """
    kind = said['type']
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(cfg.get('default_scope') or 'mmdet') as scoped:
        found = scoped.get(kind)
    if found is None:
        raise ValueError(
            f'{option}.type={kind!r} is not registered: is its module in custom_imports?'
        )
    return found
