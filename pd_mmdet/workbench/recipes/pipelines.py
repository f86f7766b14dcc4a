"""Find the pipelines in a config, and let them make the two views of an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from mmengine.config import ConfigDict

from ...transforms.low_resolution import VIEWS
from ..config_text import Changed, Code, Each
from ..configs import Place, replace, walk
from ..deployed_data import PACKING

PAIRED = {pack: paired for paired, pack in PACKING.items()}
TTA = 'TestTimeAug'
SCALE = 'scale_factor'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def kind(transform: Any) -> str | None:
    """Return a transform's class name, without scope; None for what is no transform."""
    return transform['type'].rpartition('.')[2] if _is_transform(transform) else None


def _is_transform(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get('type'), str)


def is_packing(value: Any) -> bool:
    """Return whether a value is a pipeline that packs, maybe inside of ``TestTimeAug``."""
    if not isinstance(value, list) or not value:
        return False
    if kind(value[-1]) == TTA:
        return any(is_packing(group) for group in value[-1]['transforms'])
    return any(kind(transform) in PAIRED for transform in value)


def with_views(
    pipeline: list[dict], sizes: dict, views: Sequence[str] = VIEWS, testing: bool = False
) -> list[dict]:
    """Return a pipeline that makes views of the image directly before packing.

    Args:
        pipeline: A pipeline that packs. Not changed.
        sizes: Options of ``LowResolution``: ``ratio``, and ``enlarge`` if it is not 1.
        views: ``'hr'``, ``'lr'`` or both, which are packed as a pair.
        testing: Whether annotations that are loaded last, in the pixels of the file as some metrics
            need them, are loaded after the views; then the scale factor is packed, too.
    """
    low = dict(type='LowResolution', **sizes)
    if views == VIEWS:
        pack = _pack_index(pipeline)
        paired = {**pipeline[pack], 'type': PAIRED[kind(pipeline[pack])]}
        return [*pipeline[:pack], low, paired, *pipeline[pack + 1 :]]
    low['views'] = list(views)
    if testing:
        pipeline = replace(pipeline, _packing_scale)
    if kind(pipeline[-1]) == TTA:
        *before, tta = pipeline
        groups = tta['transforms']
        place = _place(groups, testing)
        return [*before, {**tta, 'transforms': [*groups[:place], [low], *groups[place:]]}]
    place = _place(pipeline, testing)
    return [*pipeline[:place], low, *pipeline[place:]]


def _packing_scale(_: Place, transform: Any) -> Any:
    """Let a transform pack the scale factor, which brings boxes back to the pixels of the file.

    CenterNet's configs leave it out, since they do not resize images.
    """
    if kind(transform) == 'PackDetInputs' and SCALE not in transform.get('meta_keys', (SCALE,)):
        return {**transform, 'meta_keys': (*transform['meta_keys'], SCALE)}
    return transform


def derived(
    name: str,
    pipeline: list[dict],
    sizes: dict,
    views: Sequence[str] = VIEWS,
    testing: bool = False,
    added: int = 1,
) -> list[Any]:
    """Return what :func:`with_views` does as an expression on a variable of the base config.

    Args:
        name: Name of the variable that holds the pipeline.
        pipeline: The pipeline without views.
        sizes: As in :func:`with_views`.
        views: As in :func:`with_views`.
        testing: As in :func:`with_views`.
        added: 1 if the variable has a ``LowResolution`` already, otherwise 0.
    """
    new, base = with_views(pipeline, sizes, views, testing), f'_base_.{name}'
    if kind(pipeline[-1]) == TTA:
        groups, inner = pipeline[-1]['transforms'], f'{base}[-1].transforms'
        changed = _around(new[-1]['transforms'], groups, inner, added)
        return [Code(f'*{base}[:-1]'), Changed(Code(f'{base}[-1]'), dict(transforms=changed))]
    return _around(new, pipeline, base, added)


def _around(new: list, old: list, base: str, added: int) -> list[Any]:
    """Write a list as slices of the base's, which has ``added`` items where the new ones begin."""
    first = next(index for index, item in enumerate(new) if item != old[index])
    ends = zip(reversed(new), reversed(old[first:]))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    tail = [Code(f'{base}[-1]')] if same == 1 else [Code(f'*{base}[-{same}:]')] if same else []
    head = [Code(f'*{base}[:-{len(old) - first + added}]')] if first else []
    return [*head, *new[first : len(new) - same], *tail]


def _place(items: list, testing: bool) -> int:
    """Return the index where views are made: before packing, or before annotations loaded last."""
    place = next(index for index, item in enumerate(items) if is_packing(_as_list(item)))
    while testing and place and all(map(_loads_annotations, _as_list(items[place - 1]))):
        place -= 1
    return place


def _as_list(item: Any) -> list:
    """Return the transforms of a group of ``TestTimeAug``, or a single transform, as a list."""
    return item if isinstance(item, list) else [item]


def _loads_annotations(transform: Any) -> bool:
    return re.fullmatch('Load.*Annotations', kind(transform) or '') is not None


def _pack_index(pipeline: list[dict]) -> int:
    return next(index for index, transform in enumerate(pipeline) if kind(transform) in PAIRED)


@dataclass
class Pipelines:
    """The packing pipelines of a config, by the name of a variable.

    A pipeline that a variable of the config holds has the name of that variable. Pipelines of
    training and of testing have different names even if they are equal.

    Args:
        cfg: The config.
    """

    cfg: ConfigDict
    train: dict[str, list] = field(default_factory=dict)
    test: dict[str, list] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for loader in ('train_dataloader', 'test_dataloader', 'val_dataloader'):
            group = self.train if loader == 'train_dataloader' else self.test
            for pipeline in packing_pipelines(self.cfg.get(loader)):
                self._name(pipeline, group, f'{loader.partition("_")[0]}_pipeline')
        for pipeline in packing_pipelines(self.cfg.get('custom_hooks')):
            self._name(pipeline, self.train, 'switched_pipeline')
        if is_packing(self.cfg.get('tta_pipeline')):
            self.test['tta_pipeline'] = self.cfg.tta_pipeline

    @property
    def names(self) -> list[str]:
        """The names of all pipelines."""
        return [*self.train, *self.test]

    def _name(self, pipeline: list, group: dict[str, list], default: str) -> None:
        """Add a pipeline to a group under a name that is not taken."""
        if pipeline in group.values():
            return
        variables = [name for name, value in self.cfg.items() if value == pipeline]
        names = [*variables, default, *(f'{default}_{number}' for number in range(2, 100))]
        taken = {*self.train, *self.test, 'tta_pipeline'}
        group[next(name for name in names if name not in taken)] = pipeline

    def loaders(self, names: Sequence[str] = LOADERS) -> dict[str, Any]:
        """Return assignments that give dataloaders the pipelines of the variables.

        Args:
            names: Of the dataloaders.
        """
        loaders: dict[str, Any] = {}
        for loader in names:
            if self.cfg.get(loader):
                group = self.train if loader == 'train_dataloader' else self.test
                loaders[loader] = _merged(self.cfg[loader], f'_base_.{loader}', group)
        if 'test_dataloader' in loaders and self.cfg.test_dataloader == self.cfg.val_dataloader:
            loaders['test_dataloader'] = Code('val_dataloader')
        return loaders

    def hooks(self) -> dict[str, Any]:
        """Return assignments to the items of ``custom_hooks`` that hold a pipeline."""
        return {
            f'custom_hooks[{index}]': _replaced(hook, f'custom_hooks[{index}]', self.train)
            for index, hook in enumerate(self.cfg.get('custom_hooks') or ())
            if any(packing_pipelines(hook))
        }


def packing_pipelines(node: Any) -> Iterator[list]:
    """Yield all packing pipelines inside of a config's value."""
    return (value for _, value in walk(node, stop=is_packing) if is_packing(value))


def _merged(node: dict, place: str, names: dict[str, list]) -> dict:
    """Return the keys of a dict that change: MMEngine merges dicts, and replaces whole lists."""
    return {
        key: _merged(value, f'{place}.{key}', names)
        if isinstance(value, dict)
        else _replaced(value, f'{place}.{key}', names)
        for key, value in node.items()
        if any(packing_pipelines(value))
    }


def _replaced(node: Any, place: str, names: dict[str, list]) -> Any:
    """Write a value as an expression on the base's, with variables for its pipelines."""
    if is_packing(node):
        return Code(next(name for name, pipeline in names.items() if pipeline == node))
    if not any(packing_pipelines(node)):
        return Code(place)
    if isinstance(node, dict):
        changed = {
            key: _replaced(value, f'{place}.{key}', names)
            for key, value in node.items()
            if any(packing_pipelines(value))
        }
        return Changed(Code(place), changed)
    items = [_replaced(item, 'one', names) for item in node]
    if all(item == items[0] for item in items):
        return Each(items[0], Code(place))
    return [_replaced(item, f'{place}[{index}]', names) for index, item in enumerate(node)]
