"""MMDetection's configs, and what a detector's config says of its parts and annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config, ConfigDict

from ..noise import Annotations

ROOT = Path(mmdet.__path__[0], '.mim', 'configs')
ROLES = ('neck', 'head', 'coder', 'assigner', 'generator', 'extractor', 'roi_layer')
MOST = dict(num=64, max_per_img=20, stacked_convs=1, num_convs=1)
"""Of these options, the largest values that are tried: more of the same takes longer only."""


def find_configs() -> list[str]:
    """All files under :data:`ROOT` that may describe a model, as paths relative to it."""
    names = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob('*.py'))
    return sorted(name for name in names if not name.startswith(('_base_/', 'common/')))


def read_config(name: str, imports: bool = True) -> Config:
    """A config of the zoo, or of a path, with or without the modules that it asks for."""
    path = ROOT / name
    return Config.fromfile(path if path.is_file() else name, import_custom_modules=imports)


def parts(model_cfg: dict) -> tuple[str, ...]:
    """The types of a detector, its necks, heads, coders, assigners and so on: one combination."""
    found = {_type(model_cfg)}
    for role, node in _nodes(model_cfg):
        if role:
            found.add(_type(node))
    return (_type(model_cfg), *sorted(found - {_type(model_cfg)}))


def _type(node: dict) -> str:
    kind = node['type']
    return getattr(kind, '__name__', kind)


def _nodes(node: Any, role: str | None = None) -> Iterator[tuple[str | None, dict]]:
    """All dicts with a type inside of a config, and which of the roles the key gives them."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _nodes(item, role)
    elif isinstance(node, dict):
        if 'type' in node:
            yield role, node
        for key, value in node.items():
            yield from _nodes(value, next((own for own in ROLES if key.endswith(own)), None))


def representatives(combinations: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """For each distinct combination the plainest of its configs, and all of them.

    Args:
        combinations: For each config its parts.
    """
    same = defaultdict(list)
    for name, combination in combinations.items():
        same[combination].append(name)
    return {min(names, key=_plainness): sorted(names) for names in same.values()}


def _plainness(name: str) -> tuple:
    file = Path(name).name
    return '_r50_' not in file, len(file), name


def annotations_of(cfg: Config) -> Annotations:
    """What the training pipeline of a config loads, as far as noise can imitate it."""
    loads = [
        node for _, node in _nodes(cfg.get('train_dataloader', {})) if 'Annotations' in _type(node)
    ]
    kinds = set(parts(cfg.model))
    masks = 'BoxInst' in kinds or any(
        node.get('with_mask', 'Panoptic' in _type(node)) for node in loads
    )
    bitmaps = all(node.get('poly2mask', True) for node in loads)
    classes = [node['num_classes'] for _, node in _nodes(cfg.model) if 'num_classes' in node]
    return Annotations(
        classes=min(classes, default=1),
        masks=('bitmap' if bitmaps else 'polygon') if masks else None,
        sem_seg=any(node.get('with_seg', 'Panoptic' in _type(node)) for node in loads),
        proposals='FastRCNN' in kinds,
        pairwise='BoxInst' in kinds,
    )


def light(model_cfg: dict) -> ConfigDict:
    """The same parts with fewer convolutions and samples, and no file to load.

    All detections survive their thresholds, which noise would not reach, and batch norms that
    need several processes are ordinary ones.
    """
    cfg = ConfigDict(deepcopy(model_cfg))
    _lighten(cfg)
    return cfg


def _lighten(node: Any) -> None:
    if isinstance(node, (list, tuple)):
        for item in node:
            _lighten(item)
    elif isinstance(node, dict):
        if node.get('type') in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'
        for key, value in node.items():
            if key in MOST and isinstance(value, int):
                node[key] = min(value, MOST[key])
            elif key == 'num_grids':  # of SOLO, which has a map for each cell
                node[key] = [cells // 8 for cells in value]
            elif key == 'score_thr' and isinstance(value, float):
                node[key] = 0.0
            else:
                _lighten(value)
