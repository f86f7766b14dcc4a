"""Models that are of their own class and of one of this package at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    Mixin = nn.Module
else:
    Mixin = object
"""The base of a mixin: at run time nothing, to a type checker the class that it is put before."""


def put_in_front(mixin: type, model: nn.Module) -> Any:
    """Put a mixin in front of a built model's class.

    A distilled student must *be* the detector that its config names, with that detector's
    parameter names, hooks and ``isinstance`` checks; and which class that is, is known only when
    the model is built. So the class that inherits both is made at run time. There is one for each
    pair, and a model is pickled as that pair, since no module has its class.

    Args:
        mixin: A class whose ``super()`` calls reach the model's own class.
        model: A built model; changed in place.

    Returns:
        The same model.
    """
    kind: Any = type(model)
    model.__class__ = combined(mixin, kind)
    return model


@cache
def combined(mixin: type, kind: type) -> type:
    """Make the class that inherits a mixin, then the class of a model."""
    name = f'{mixin.__name__}[{kind.__name__}]'
    attributes = dict(
        __module__=mixin.__module__,
        __qualname__=name,
        __doc__=f'A {kind.__name__} with what {mixin.__name__} adds.',
        __reduce__=lambda model: (_empty, (mixin, kind), model.__getstate__()),
    )
    return type(name, (mixin, kind), attributes)


def _empty(mixin: type, kind: type) -> nn.Module:
    """Make a model without attributes, for ``pickle`` and ``copy`` to fill."""
    return object.__new__(combined(mixin, kind))


def with_preprocessor(model_cfg: dict, data_preprocessor: dict | None) -> dict:
    """Give a model's config a data preprocessor, unless it has one.

    Args:
        model_cfg: Not changed.
        data_preprocessor: The one that a config has beside its model, or None.
    """
    if data_preprocessor is None or model_cfg.get('data_preprocessor'):
        return model_cfg
    # A copy: classifiers write into it what their own training adds.
    return {**model_cfg, 'data_preprocessor': dict(data_preprocessor)}
