"""Configs in pure Python (``read_base()``, classes for types) as the data of ordinary ones."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from numbers import Real
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry

from ..configs import Place, dotted, replace
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
    plain = {key: replace(cfg[key], partial(_named, names), (key,)) for key in cfg.to_dict()}
    return Config(plain | dict(default_scope=scope))


def _registered(scope: str) -> dict[Any, str]:
    """What is registered → the name by which configs of a scope find it, the first if several."""
    names: dict[Any, str] = {}
    for registry in vars(import_module(f'{scope}.registry')).values():
        if isinstance(registry, Registry) and registry.scope == scope:
            inherited = registry.parent.module_dict if registry.parent else {}
            found = {**inherited, **registry.module_dict}
            names |= {module: name for name, module in reversed(found.items())}
    return names


def _named(names: dict[Any, str], place: Place, value: Any) -> Any:
    """Return the name of a class or function; plain data stays."""
    if isinstance(value, (LazyAttr, LazyObject)):  # inside of a list; a dict has built its own
        return replace(value.build(), partial(_named, names), place)
    if value is None or isinstance(value, (str, Real, dict, list, tuple)):
        return value
    if not hasattr(value, '__qualname__') or value.__module__ in ('builtins', None):
        raise ValueError(f'{dotted(place)} is {value!r}, which has no name: write it otherwise')
    if value.__module__.startswith('mmcv.ops.'):  # heads ask for an `nms` by its bare name
        return value.__qualname__
    return names.get(value, f'{value.__module__}.{value.__qualname__}')
