"""Turn configs in pure Python (``read_base()``, classes for types) into plain data."""

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
    """Return whether a config is in pure Python: files with ``_base_`` cannot inherit it."""
    return Config._is_lazy_import(cfg.filename)


def with_names(cfg: Config) -> Config:
    """Replace the classes in a config by their names, in the scope of its model.

    The registered name is used, which some code compares. A class that is not registered is named
    by its module, where MMEngine's registries find it.

    Raises:
        ValueError: A value has no name.
    """
    package = getattr(cfg.get('model', {}).get('type'), '__module__', '').partition('.')[0]
    scope = cfg.get('default_scope') or (package if package in SCOPES else 'mmdet')
    names = _registered(scope)
    plain = {key: replace(cfg[key], partial(_named, names), (key,)) for key in cfg.to_dict()}
    return Config(plain | dict(default_scope=scope))


def _registered(scope: str) -> dict[Any, str]:
    """Return class → the first name by which configs of a scope find it."""
    names: dict[Any, str] = {}
    for registry in vars(import_module(f'{scope}.registry')).values():
        if isinstance(registry, Registry) and registry.scope == scope:
            inherited = registry.parent.module_dict if registry.parent else {}
            found = {**inherited, **registry.module_dict}
            names |= {module: name for name, module in reversed(found.items())}
    return names


def _named(names: dict[Any, str], place: Place, value: Any) -> Any:
    """Return the name of a class or function; return plain data as it is."""
    if isinstance(value, (LazyAttr, LazyObject)):  # inside of a list; a dict has built its own
        return replace(value.build(), partial(_named, names), place)
    if value is None or isinstance(value, (str, Real, dict, list, tuple)):
        return value
    if not hasattr(value, '__qualname__') or value.__module__ in ('builtins', None):
        raise ValueError(
            f'{dotted(place)} is {value!r}, which has no name: use a class or plain data'
        )
    if value.__module__.startswith('mmcv.ops.'):  # heads ask for an `nms` by its bare name
        return value.__qualname__
    return names.get(value, f'{value.__module__}.{value.__qualname__}')
