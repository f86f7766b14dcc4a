"""Classes made at run time: a class of this package in front of a model's class."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from mmengine.model import BaseModel

    Mixin = BaseModel
else:
    Mixin = object
"""The base of a mixin: ``object`` at run time; a type checker sees the class of a model."""


def put_in_front(mixin: type, model: nn.Module) -> Any:
    """Put a mixin in front of a built model's class.

    A distilled student must *be* the detector that its config names, so that parameter names,
    hooks and ``isinstance`` checks stay as they are. The class of that detector is known only when
    the model is built. So a class that inherits from both is made at run time, one for each pair
    of classes. No module contains this class, so a model is pickled by the classes that its class
    is made of.

    Args:
        mixin: A class whose ``super()`` calls reach the class of the model.
        model: A built model; changed in place.

    Returns:
        The same model.
    """
    kind: Any = type(model)
    model.__class__ = combined(mixin, kind)
    return model


@cache
def combined(mixin: type, kind: type) -> type:
    """Make the class that inherits from a mixin first, then from the class of a model."""
    name = f'{mixin.__name__}[{kind.__name__}]'
    parts = (mixin, *getattr(kind, 'parts', (kind,)))
    attributes = dict(
        __module__=mixin.__module__,
        __qualname__=name,
        __doc__=f'A {kind.__name__} with what {mixin.__name__} adds.',
        __reduce__=lambda model: (_empty, parts, model.__getstate__()),
        parts=parts,  # classes that modules contain
    )
    return type(name, (mixin, kind), attributes)


def _empty(*parts: type) -> nn.Module:
    """Make a model without attributes, for ``pickle`` and ``copy`` to fill."""
    *mixins, kind = parts
    for mixin in reversed(mixins):
        kind = combined(mixin, kind)
    model: nn.Module = object.__new__(kind)
    return model


def with_preprocessor(model_cfg: dict, data_preprocessor: dict | None) -> dict:
    """Add a data preprocessor to a model's config, unless it has one.

    Args:
        model_cfg: Config of a model. Not changed.
        data_preprocessor: The top-level ``data_preprocessor`` of a config file, or None.

    Returns:
        The config with a data preprocessor, if there is one.
    """
    if data_preprocessor is None or model_cfg.get('data_preprocessor'):
        return model_cfg
    # A copy, because classifiers write the options of their train_cfg into it.
    return {**model_cfg, 'data_preprocessor': dict(data_preprocessor)}
