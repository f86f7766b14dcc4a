"""Writing a config as Python text, formatted as by ``ruff format``."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

WIDTH = 100
INDENT = ' ' * 4


class Code(str):
    """An expression, written as it is."""


class Remark(str):
    """A comment before the next entry of a dict or list; in a dict its key is not written."""


class Changed(NamedTuple):
    """``dict(one, key=value)``: a dict with other values for some keys."""

    one: Code
    values: dict[str, Any]


class Each(NamedTuple):
    """``[value for one in every]``."""

    value: Any
    every: Code


def config_text(comment: str, variables: dict[str, Any]) -> str:
    """Return the text of a config file.

    Args:
        comment: Purpose of the file, its first lines.
        variables: Names and values: plain data and the classes of this module. A ``Remark``
            becomes a comment before the next variable.
    """
    lines = [_comment(comment, '')]
    for name, value in variables.items():
        lines.append(_comment(value, '') if isinstance(value, Remark) else _assignment(name, value))
    return '\n'.join(lines) + '\n'


def text(value: Any, indent: str = '', used: int = 0) -> str:
    """Return the text of a value.

    Args:
        value: Plain data and the classes of this module.
        indent: Of the line on which it begins.
        used: Columns of that line that are taken, before and behind it.
    """
    flat = _flat(value)
    if flat is not None and used + len(flat) <= WIDTH:
        return flat
    inner = indent + INDENT
    if isinstance(value, Each):
        if flat and len(inner + flat) - len('[]') <= WIDTH:
            return _block('[', [flat[1:-1]], ']', indent)
        entry = text(value.value, inner, len(inner))
        return _block('[', [entry, f'for one in {value.every}'], ']', indent)
    parts = _parts(value)
    if parts is None:
        return flat
    opening, entries, closing = parts
    if flat and indent and opening == 'dict(' and len(inner + flat) - len('dict()') <= WIDTH:
        return _block(opening, [flat[len(opening) : -len(closing)]], closing, indent)
    return _block(opening, _lines(entries, inner), closing, indent)


def _assignment(name: str, value: Any) -> str:
    line = f'{name} = {text(value, used=len(name) + 3)}'
    if isinstance(value, str) and len(line) > WIDTH >= len(INDENT + text(value)):
        return f'{name} = (\n{INDENT}{text(value)}\n)'
    return line


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str] | None:
    """Return opening bracket, entries (text before each, and its value), closing bracket."""
    if isinstance(value, Changed):
        return 'dict(', [('', value.one), *_named(value.values)], ')'
    if isinstance(value, dict):
        if all(key.isidentifier() and not keyword.iskeyword(key) for key in map(str, value)):
            return 'dict(', _named(value), ')'
        return '{', [(f'{key!r}: ', item) for key, item in value.items()], '}'
    if isinstance(value, (list, tuple)) and not isinstance(value, Each):
        brackets = '[]' if isinstance(value, list) else '()'
        return brackets[0], [('', item) for item in value], brackets[1]
    return None


def _named(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f'{key}=', item) for key, item in values.items()]


def _flat(value: Any) -> str | None:
    """Return the text on one line; None if a remark prevents that."""
    if isinstance(value, Remark):
        return None
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Each):
        inner = _flat(value.value)
        return inner and f'[{inner} for one in {value.every}]'
    parts = _parts(value)
    if parts is None:
        return repr(value)
    opening, entries, closing = parts
    texts = [_flat(item) for _, item in entries]
    if None in texts:
        return None
    inner = ', '.join(before + item for (before, _), item in zip(entries, texts))
    only_one = isinstance(value, tuple) and opening == '(' and len(value) == 1
    return f'{opening}{inner}{"," if only_one else ""}{closing}'


def _lines(entries: list[tuple[str, Any]], indent: str) -> Iterator[str]:
    """Return one line an entry."""
    for before, item in entries:
        if isinstance(item, Remark):
            yield _comment(item, indent).lstrip()
        else:
            yield f'{before}{text(item, indent, len(indent + before) + 1)},'


def _block(opening: str, lines: Iterable[str], closing: str, indent: str) -> str:
    inside = ''.join(f'\n{indent}{INDENT}{line}' for line in lines)
    return f'{opening}{inside}\n{indent}{closing}'


def _comment(words: str, indent: str) -> str:
    return textwrap.fill(
        ' '.join(words.split()),
        WIDTH,
        initial_indent=f'{indent}# ',
        subsequent_indent=f'{indent}# ',
        break_long_words=False,
        break_on_hyphens=False,
    )
