"""The pipelines of a config's data, and the two views of an image in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from mmengine.config import ConfigDict

from ...transforms.low_resolution import VIEWS
from ..deploy import PACKING
from .write import Changed, Code, Each

PAIRED = {pack: paired for paired, pack in PACKING.items()}
TTA = 'TestTimeAug'
SCALE = 'scale_factor'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def kind(transform: Any) -> str | None:
    """The name of a transform's class, without its scope; None for what is no transform."""
    return transform['type'].rpartition('.')[2] if _is_transform(transform) else None


def _is_transform(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get('type'), str)


def is_packing(value: Any) -> bool:
    """Whether a value is a pipeline that packs, perhaps inside ``TestTimeAug``."""
    if not isinstance(value, list) or not value:
        return False
    if kind(value[-1]) == TTA:
        return any(is_packing(group) for group in value[-1]['transforms'])
    return any(kind(transform) in PAIRED for transform in value)


def with_views(
    pipeline: list[dict], ratio: Any, views: Sequence[str] = VIEWS, testing: bool = False
) -> list[dict]:
    """A pipeline that makes views of the image directly before packing.

    Args:
        pipeline: A packing one. It is not changed.
        ratio: Side of the large image over the small one, as the config says it.
        views: Which views; both are packed as a pair.
        testing: Annotations that are loaded last, so that they stay in the pixels of the file as
            some metrics want them, are loaded after the views; the scale factor is packed.
    """
    low = dict(type='LowResolution', ratio=ratio)
    if views == VIEWS:
        pack = _pack_index(pipeline)
        paired = {**pipeline[pack], 'type': PAIRED[kind(pipeline[pack])]}
        return [*pipeline[:pack], low, paired, *pipeline[pack + 1 :]]
    low['views'] = list(views)
    if testing:
        pipeline = _packing_scale(pipeline)
    if kind(pipeline[-1]) == TTA:
        *before, tta = pipeline
        groups = tta['transforms']
        place = _place(groups, testing)
        return [*before, {**tta, 'transforms': [*groups[:place], [low], *groups[place:]]}]
    place = _place(pipeline, testing)
    return [*pipeline[:place], low, *pipeline[place:]]


def _packing_scale(node: Any) -> Any:
    """The same where the scale factor is packed, by which boxes come back to the file's pixels.

    CenterNet's configs, whose images keep their size, leave it out.
    """
    if isinstance(node, list):
        return [_packing_scale(inner) for inner in node]
    if kind(node) == TTA:
        return {**node, 'transforms': _packing_scale(node['transforms'])}
    packed = node.get('meta_keys', (SCALE,))
    if kind(node) == 'PackDetInputs' and SCALE not in packed:
        return {**node, 'meta_keys': (*packed, SCALE)}
    return node


def derived(
    name: str,
    pipeline: list[dict],
    ratio: Any,
    views: Sequence[str] = VIEWS,
    testing: bool = False,
    added: int = 1,
) -> list[Any]:
    """The same as :func:`with_views` in terms of the base's variable of that name.

    Args:
        name: The variable.
        pipeline: What it is without views.
        ratio: As there.
        views: As there.
        testing: As there.
        added: 1 where the base's variable has a view's ``LowResolution`` already, 0 else.
    """
    new, base = with_views(pipeline, ratio, views, testing), f'_base_.{name}'
    if kind(pipeline[-1]) == TTA:
        groups, inner = pipeline[-1]['transforms'], f'{base}[-1].transforms'
        changed = _around(new[-1]['transforms'], groups, inner, added)
        return [Code(f'*{base}[:-1]'), Changed(Code(f'{base}[-1]'), dict(transforms=changed))]
    return _around(new, pipeline, base, added)


def _around(new: list, old: list, base: str, added: int) -> list[Any]:
    """A list in terms of the base's, which has ``added`` items where the new ones begin."""
    first = next(index for index, item in enumerate(new) if item != old[index])
    ends = zip(reversed(new), reversed(old[first:]))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    tail = [Code(f'{base}[-1]')] if same == 1 else [Code(f'*{base}[-{same}:]')] if same else []
    head = [Code(f'*{base}[:-{len(old) - first + added}]')] if first else []
    return [*head, *new[first : len(new) - same], *tail]


def _place(items: list, testing: bool) -> int:
    """Where views are made: before what packs, or before annotations that are loaded last."""
    place = next(index for index, item in enumerate(items) if is_packing(_as_list(item)))
    while testing and place and all(map(_loads_annotations, _as_list(items[place - 1]))):
        place -= 1
    return place


def _as_list(item: Any) -> list:
    """The transforms of a group of ``TestTimeAug``, or the one of a pipeline."""
    return item if isinstance(item, list) else [item]


def _loads_annotations(transform: Any) -> bool:
    return re.fullmatch('Load.*Annotations', kind(transform) or '') is not None


def _pack_index(pipeline: list[dict]) -> int:
    return next(index for index, transform in enumerate(pipeline) if kind(transform) in PAIRED)


@dataclass
class Pipelines:
    """The packing pipelines of a config, each under the name of a variable.

    A name is that of the config's own variable that holds the pipeline, where there is one.
    Those of training and of testing have different names even where they are equal.

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
        if pipeline in group.values():
            return
        own = [name for name, value in self.cfg.items() if value == pipeline]
        names = [*own, default, *(f'{default}_{number}' for number in range(2, 100))]
        taken = {*self.train, *self.test, 'tta_pipeline'}
        group[next(name for name in names if name not in taken)] = pipeline

    def loaders(self, names: Sequence[str] = LOADERS) -> dict[str, Any]:
        """Assignments that give dataloaders the pipelines of the variables.

        Args:
            names: Of the dataloaders.
        """
        said: dict[str, Any] = {}
        for loader in names:
            if self.cfg.get(loader):
                group = self.train if loader == 'train_dataloader' else self.test
                said[loader] = _merged(self.cfg[loader], f'_base_.{loader}', group)
        if 'test_dataloader' in said and self.cfg.test_dataloader == self.cfg.val_dataloader:
            said['test_dataloader'] = Code('val_dataloader')
        return said

    def hooks(self) -> dict[str, Any]:
        """Assignments to the items of ``custom_hooks`` that hold a pipeline."""
        return {
            f'custom_hooks[{index}]': _replaced(hook, f'custom_hooks[{index}]', self.train)
            for index, hook in enumerate(self.cfg.get('custom_hooks') or ())
            if any(packing_pipelines(hook))
        }


def packing_pipelines(node: Any) -> Iterator[list]:
    """All packing pipelines inside of a config's value."""
    if is_packing(node):
        yield node
    elif isinstance(node, (dict, list, tuple)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from packing_pipelines(inner)


def _merged(node: dict, place: str, names: dict[str, list]) -> dict:
    """What a child config says of a dict: MMEngine merges dicts, and replaces lists as a whole."""
    return {
        key: _merged(value, f'{place}.{key}', names)
        if isinstance(value, dict)
        else _replaced(value, f'{place}.{key}', names)
        for key, value in node.items()
        if any(packing_pipelines(value))
    }


def _replaced(node: Any, place: str, names: dict[str, list]) -> Any:
    """A whole value in terms of the base's, its pipelines replaced by variables."""
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
    ones = [_replaced(item, 'one', names) for item in node]
    if all(one == ones[0] for one in ones):
        return Each(ones[0], Code(place))
    return [_replaced(item, f'{place}[{index}]', names) for index, item in enumerate(node)]
