"""Walks through the nested dicts, lists and tuples of configs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Place = tuple[str | int, ...]
"""Keys and indices that lead to a value, such as ``('model', 'necks', 0)``."""


def walk(
    value: Any, place: Place = (), stop: Callable[[Any], bool] = lambda _: False
) -> Iterator[tuple[Place, Any]]:
    """Yield a value and all values inside of it with their places, outer ones first.

    Args:
        value: A config or a part of it.
        place: Where it is.
        stop: Whether the inside of a value is left out.
    """
    yield place, value
    if not stop(value):
        for key, inner in _items(value):
            yield from walk(inner, (*place, key), stop)


def replace(value: Any, function: Callable[[Place, Any], Any], place: Place = ()) -> Any:
    """Return a config in which a function has replaced every value, inner ones first.

    Args:
        value: A config or a part of it. Not changed: dicts, lists and tuples are made anew.
        function: Takes the place and the value, in which inner values are replaced already, and
            returns the new value.
        place: Where the value is.
    """
    inner = [(key, replace(item, function, (*place, key))) for key, item in _items(value)]
    if isinstance(value, dict):
        value = dict(inner)
    elif isinstance(value, (list, tuple)):
        value = type(value)(item for _, item in inner)
    return function(place, value)


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def key_of(place: Place) -> str:
    """Return the innermost key of a place: for an item of a list, the key of the list."""
    return next((key for key in reversed(place) if isinstance(key, str)), '')


def dotted(place: Place) -> str:
    """Return a place as ``--cfg-options`` writes it: ``model.necks.0``."""
    return '.'.join(map(str, place))


def innermost_datasets(dataset: dict, place: Place = ()) -> Iterator[tuple[Place, dict]]:
    """Yield the datasets inside of wrappers and concatenations, with their places.

    Args:
        dataset: Config of a dataset.
        place: Where it is.
    """
    if 'dataset' in dataset:
        yield from innermost_datasets(dataset['dataset'], (*place, 'dataset'))
    elif 'datasets' in dataset:
        for index, inner in enumerate(dataset['datasets']):
            yield from innermost_datasets(inner, (*place, 'datasets', index))
    else:
        yield place, dataset
