"""List the hooks that the runner of a config will have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import HOOKS, Registry


class Hook(NamedTuple):
    """A hook of a config.

    Args:
        option: Its place in the config, such as ``'custom_hooks.0'``.
        kind: Its class.
        cfg: Its config: type, arguments, and maybe a priority.
    """

    option: str
    kind: type
    cfg: dict[str, Any]

    def build(self) -> Any:
        arguments = {key: self.cfg[key] for key in self.cfg if key not in ('type', 'priority')}
        return self.kind(**arguments)


def hooks(cfg: Config) -> Iterator[Hook]:
    """Yield the hooks of a config, and the CheckpointHook that every runner has.

    Raises:
        ValueError: A type is not registered.
    """
    named = {'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1)}
    for name, hook in (cfg.get('default_hooks') or {}).items():
        named[f'default_hooks.{name}'] = hook
    for index, hook in enumerate(cfg.get('custom_hooks') or ()):
        named[f'custom_hooks.{index}'] = hook
    for option, hook in named.items():
        if hook is not None:  # None removes a default hook of the runner
            yield Hook(option, class_of(cfg, option, hook, HOOKS), hook)


def class_of(cfg: Config, option: str, part: dict[str, Any], registry: Registry) -> type:
    """Return the class of a part of a config, whose type is a class or a registered name.

    Args:
        cfg: The whole config.
        option: Place of the part, for the message.
        part: The part.
        registry: Registry of its type.

    Raises:
        ValueError: The type is not registered.
    """
    kind = part['type']
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(cfg.get('default_scope') or 'mmdet') as scoped:
        found = scoped.get(kind)
    if found is None:
        raise ValueError(
            f'{option}.type={kind!r} is not registered: is its module in custom_imports?'
        )
    return found
