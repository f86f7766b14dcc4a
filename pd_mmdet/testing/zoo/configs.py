"""Read MMDetection's configs, and find out their parts and annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config, ConfigDict

from ...pixel_options import type_name
from ...workbench.configs import Place, key_of, replace, walk
from ..noise import Annotations

ROOT = Path(mmdet.__path__[0], '.mim', 'configs')
ROLES = ('neck', 'head', 'coder', 'assigner', 'generator', 'extractor', 'roi_layer')
MOST = dict(num=64, max_per_img=20, stacked_convs=1, num_convs=1)
"""Largest values of these options that are tried: more of the same only takes longer."""


def find_configs() -> list[str]:
    """List all files under :data:`ROOT` that may have a model, as paths relative to it."""
    names = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob('*.py'))
    return sorted(name for name in names if not name.startswith(('_base_/', 'common/')))


def read_config(name: str, imports: bool = True) -> Config:
    """Read a config of the zoo, or a file, with or without its ``custom_imports``."""
    path = ROOT / name
    return Config.fromfile(path if path.is_file() else name, import_custom_modules=imports)


def parts(model_cfg: dict) -> tuple[str, ...]:
    """Return the types of a detector and of its necks, heads, coders, assigners and so on."""
    detector = type_name(model_cfg)
    found = {type_name(node) for place, node in _typed(model_cfg) if key_of(place).endswith(ROLES)}
    return (detector, *sorted(found - {detector}))


def _typed(cfg: Any) -> Iterator[tuple[Place, dict]]:
    """Yield all dicts with a type inside of a config, and their places."""
    return ((place, node) for place, node in walk(cfg) if isinstance(node, dict) and 'type' in node)


def representatives(combinations: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return the plainest config of each combination of parts → all configs that have it.

    Args:
        combinations: Config → its parts.
    """
    same = defaultdict(list)
    for name, combination in combinations.items():
        same[combination].append(name)
    return {min(names, key=_plainness): sorted(names) for names in same.values()}


def _plainness(name: str) -> tuple:
    file = Path(name).name
    return '_r50_' not in file, len(file), name


def annotations_of(cfg: Config) -> Annotations:
    """Return which annotations the training pipeline of a config loads."""
    loads = [
        node
        for _, node in _typed(cfg.get('train_dataloader', {}))
        if 'Annotations' in type_name(node)
    ]
    kinds = set(parts(cfg.model))
    masks = 'BoxInst' in kinds or any(
        node.get('with_mask', 'Panoptic' in type_name(node)) for node in loads
    )
    bitmaps = all(node.get('poly2mask', True) for node in loads)
    classes = [node['num_classes'] for _, node in _typed(cfg.model) if 'num_classes' in node]
    return Annotations(
        classes=min(classes, default=1),
        masks=('bitmap' if bitmaps else 'polygon') if masks else None,
        sem_seg=any(node.get('with_seg', 'Panoptic' in type_name(node)) for node in loads),
        proposals='FastRCNN' in kinds,
        pairwise='BoxInst' in kinds,
    )


def light(model_cfg: dict) -> ConfigDict:
    """Return a model's config with the same parts, but fewer convolutions and samples.

    Thresholds of scores, which noise would not reach, become 0, and synchronised batch norms become
    plain ones.
    """
    return ConfigDict(replace(model_cfg, _lighter))


def _lighter(place: Place, value: Any) -> Any:
    """Return the new value of an option."""
    key = place[-1] if place else ''
    if isinstance(value, dict) and value.get('type') in ('SyncBN', 'MMSyncBN'):
        return value | dict(type='BN')
    if key in MOST and isinstance(value, int):
        return min(value, MOST[key])
    if key == 'num_grids':  # of SOLO, which has a map for each cell
        return [cells // 8 for cells in value]
    return 0.0 if key == 'score_thr' and isinstance(value, float) else value
