"""Declaring a suite: rows of a table, the configs behind them, seeds and an order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..stages.stage import NEEDS


@dataclass(frozen=True)
class Row:
    """One method: how it trains a config of a recipe.

    Args:
        config: Name of a stage of the recipe, see :func:`read_stage`.
        text: Its name in tables.
        variant: Suffix of the part's recipe folder: the config is read from this folder beside it,
            such as ``'_c2'`` for the same images with 2×2 sub-cells. Empty: the recipe itself.
        learns_from: The row from whose checkpoint it learns, where its config has a teacher.
        weights_of: The row whose checkpoint is evaluated with this row's config: nothing is
            trained.
        as_long_as: Rows; it trains as long as these together. Empty: as its config says.
        once: Train it with the first seed only, for the rows of every seed: a teacher that one has.
        options: Overrides of the config, as ``--cfg-options`` gives them.
    """

    config: str
    text: str
    variant: str = ''
    learns_from: str | None = None
    weights_of: str | None = None
    as_long_as: tuple[str, ...] = ()
    once: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def needed(self) -> str | None:
        """The row whose checkpoint it needs."""
        return self.learns_from or self.weights_of


@dataclass(frozen=True)
class Part:
    """Rows of one recipe that are run, and shown, together.

    Args:
        title: Over its table.
        recipe: The folder of its configs. Its name, the row's name and the seed identify a run, of
            a variant too.
        rows: Names of rows. One that an earlier part has run is only shown again.
    """

    title: str
    recipe: Path
    rows: tuple[str, ...]

    def recipe_of(self, row: Row) -> Path:
        """Return the folder that holds the config of a row: the recipe, or its variant."""
        return self.recipe.with_name(f'{self.recipe.name}{row.variant}')


@dataclass(frozen=True)
class Suite:
    """A declared set of runs.

    Args:
        name: That of its file.
        title: What it is about.
        seeds: Of every row.
        rows: Row by name.
        parts: In order of priority.
        options: Overrides of every config.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    rows: dict[str, Row]
    parts: tuple[Part, ...]
    options: dict[str, Any]


def read_suite(file: Path) -> Suite:
    """Read a suite's file and check what it declares.

    The file is a config of MMEngine with ``title``, ``seeds``, ``rows`` (name → arguments of
    :class:`Row`), ``parts`` (a list of arguments of :class:`Part`, ``recipe`` relative to the
    file's folder) and, if needed, ``options``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It declares what cannot be run.
    """
    if not file.is_file():
        known = ', '.join(sorted(path.stem for path in file.parent.glob('*.py')))
        raise FileNotFoundError(f'no suite {file.stem!r} at {file}; there are: {known or "none"}')
    cfg = Config.fromfile(file).to_dict()
    try:
        rows = {name: _row(row) for name, row in cfg['rows'].items()}
        parts = tuple(_part(part, file.parent) for part in cfg['parts'])
        title, seeds = cfg['title'], tuple(cfg['seeds'])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'suite {file}: {error}; see pd_mmdet/workbench/suites/suite.py'
        ) from error
    _check_seeds(seeds, file)
    for part in parts:
        _check_part(part, rows, parts, file)
    return Suite(file.stem, title, seeds, rows, parts, cfg.get('options', {}))


def _row(options: dict[str, Any]) -> Row:
    return Row(**{**options, 'as_long_as': tuple(options.get('as_long_as', ()))})


def _part(options: dict[str, Any], folder: Path) -> Part:
    recipe = (folder / options['recipe']).resolve()
    return Part(**{**options, 'recipe': recipe, 'rows': tuple(options['rows'])})


def _check_seeds(seeds: tuple[int, ...], file: Path) -> None:
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f'suite {file}: seeds={seeds}: write different non-negative integers')


def _check_part(part: Part, rows: dict[str, Row], parts: tuple[Part, ...], file: Path) -> None:
    """Refuse a part with unknown rows, or with rows that come before what they need."""
    before: list[str] = []
    for earlier in parts[: parts.index(part)]:
        before += earlier.rows if earlier.recipe == part.recipe else ()
    for name in part.rows:
        if name not in rows:
            raise ValueError(
                f'suite {file}: part {part.title!r} has the row {name!r}; there are {list(rows)}'
            )
        row = rows[name]
        if (row.config in NEEDS) != (row.learns_from is not None):
            wanted = 'a learns_from' if row.config in NEEDS else 'no learns_from'
            raise ValueError(f'suite {file}: row {name!r} of {row.config}.py needs {wanted}')
        if row.weights_of and (row.learns_from or row.as_long_as):
            raise ValueError(
                f'suite {file}: row {name!r} has weights_of={row.weights_of!r}, so nothing is '
                'trained: it needs no learns_from and no as_long_as'
            )
        if row.needed and row.needed not in before:
            needs = 'learns from' if row.learns_from else 'has the weights of'
            raise ValueError(
                f'suite {file}: row {name!r} of {part.title!r} {needs} {row.needed!r}, '
                f'which must come before it, in a part with the same recipe'
            )
        unknown = {*row.as_long_as} - {*rows}
        if unknown:
            raise ValueError(f'suite {file}: as_long_as of row {name!r} has {sorted(unknown)}')
        before.append(name)
