"""Configs in pure Python (``read_base()``, classes for types) as the data of ordinary ones."""

from __future__ import annotations

from importlib import import_module
from numbers import Real
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry

from ..tasks import SCOPES


def is_python(cfg: Config) -> bool:
    """Whether a config is one that files with ``_base_`` cannot inherit."""
    return Config._is_lazy_import(cfg.filename)


def with_names(cfg: Config) -> Config:
    """The same config with names in the place of classes, in the scope of its model.

    A name is the one that is registered: a few places know types by nothing else. Classes that
    are not registered are named by their module, which MMEngine's registries find, too.

    Raises:
        ValueError: It holds something that has no name.
    """
    package = getattr(cfg.get('model', {}).get('type'), '__module__', '').partition('.')[0]
    scope = cfg.get('default_scope') or (package if package in SCOPES else 'mmdet')
    names = _registered(scope)
    said = {key: _named(cfg[key], key, names) for key in cfg.to_dict()}
    return Config(said | dict(default_scope=scope))


def _registered(scope: str) -> dict[Any, str]:
    """What is registered → the name by which configs of a scope find it, the first if several."""
    names: dict[Any, str] = {}
    for registry in vars(import_module(f'{scope}.registry')).values():
        if isinstance(registry, Registry) and registry.scope == scope:
            inherited = registry.parent.module_dict if registry.parent else {}
            found = {**inherited, **registry.module_dict}
            names |= {module: name for name, module in reversed(found.items())}
    return names


def _named(value: Any, place: str, names: dict[Any, str]) -> Any:
    if isinstance(value, (LazyAttr, LazyObject)):  # inside of a list; a dict has built its own
        value = value.build()
    if isinstance(value, ConfigDict):
        return {key: _named(inner, f'{place}.{key}', names) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_named(inner, place, names) for inner in value)
    if value is None or isinstance(value, (str, Real)):
        return value
    if not hasattr(value, '__qualname__') or value.__module__ in ('builtins', None):
        raise ValueError(f'{place} is {value!r}, which has no name: write it in another way')
    if value.__module__.startswith('mmcv.ops.'):  # heads ask for an `nms` by its bare name
        return value.__qualname__
    return names.get(value, f'{value.__module__}.{value.__qualname__}')
