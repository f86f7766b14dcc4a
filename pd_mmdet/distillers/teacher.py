from __future__ import annotations

import hashlib

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import Registry
from torch import Tensor

from ..checkpoint import load_data
from ..mixin import with_preprocessor

SHOWN = 8
"""How many names of each kind a message about an unfit checkpoint lists."""


class Teacher:
    """A frozen network that a student learns from.

    It is no ``nn.Module``, so that no parameter list, state dict, optimiser or DDP sees it, and
    a deep copy (EMA) of its student shares it.

    Args:
        registry: The registry that builds the network.
        cfg: Config of the model, or the path of a config file (``mmdet::…`` too) that holds it
            as ``model``; of a distiller's config its student is taken.
        checkpoint: File or URL of its weights, a plain model's or a distiller's; opened by
            :meth:`load`.
        view: Which view it reads, ``'hr'`` or ``'lr'``.
    """

    def __init__(
        self, registry: Registry, cfg: dict | str, checkpoint: str | None = None, view: str = 'hr'
    ) -> None:
        self.model = registry.build(plain_model_cfg(cfg))
        self.model.requires_grad_(False).eval()
        self.checkpoint = checkpoint
        self.view = view
        self.fingerprint: str | None = None
        self.classes: tuple[str, ...] | None = None

    def __deepcopy__(self, memo: dict) -> Teacher:
        return self

    def load(self) -> None:
        """Load the checkpoint and remember the fingerprint (SHA-256) of its weights.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it does not fit; the message lists what differs.
        """
        try:
            checkpoint = load_data(self.checkpoint or '')
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'teacher.checkpoint={self.checkpoint!r}: {error}. Train the stage before first, '
                'then name its checkpoint in the environment variable that stands at the top of '
                'the config (TEACHER_CHECKPOINT or ASSISTANT_CHECKPOINT)'
            ) from None
        weights = student_part(checkpoint)
        check_fits(weights, self.model.state_dict(), str(self.checkpoint))
        self.model.load_state_dict(weights)
        self.fingerprint = fingerprint(weights)
        self.classes = class_names(checkpoint)


def plain_model_cfg(cfg: dict | str) -> dict:
    """The config of a plain model, from a model's, a distiller's or a config file's.

    Of a file, a data preprocessor beside the model is taken into it.
    """
    if isinstance(cfg, str):
        file = get_config(cfg) if '::' in cfg else Config.fromfile(cfg)
        cfg = with_preprocessor(file.model, file.get('data_preprocessor'))
    if 'student' in cfg:
        return with_preprocessor(cfg['student'], cfg.get('data_preprocessor'))
    return cfg


def student_part(checkpoint: dict) -> dict[str, Tensor]:
    """The weights of a plain model in a plain or a distiller's checkpoint."""
    state_dict = checkpoint.get('state_dict', checkpoint)
    plain = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    return {name: value for name, value in plain.items() if not name.startswith('distill.')}


def class_names(checkpoint: dict) -> tuple[str, ...] | None:
    """The names of the classes that a checkpoint was trained for, where it says them."""
    meta = checkpoint.get('meta') or {}
    # As in MMDetection's `init_detector`: older files of the zoo say CLASSES, or say it in `meta`.
    said = {**meta, **(meta.get('dataset_meta') or {})}
    classes = {key.lower(): value for key, value in said.items()}.get('classes')
    return tuple(classes) if classes else None


def check_fits(
    weights: dict[str, Tensor],
    wanted: dict[str, Tensor],
    file: str,
    model: str = 'the teacher that teacher.cfg describes',
) -> None:
    """Refuse weights that are not exactly those that a model wants.

    Raises:
        ValueError: Lists missing, unexpected and mis-shaped weights.
    """
    shapes = [
        f'{name} {tuple(weights[name].shape)} instead of {tuple(wanted[name].shape)}'
        for name in wanted
        if name in weights and weights[name].shape != wanted[name].shape
    ]
    differences = {
        'missing': [name for name in wanted if name not in weights],
        'unexpected': [name for name in weights if name not in wanted],
        'of another shape': shapes,
    }
    lines = [
        f'  {len(names)} {kind}: {", ".join(names[:SHOWN])}{" …" if len(names) > SHOWN else ""}'
        for kind, names in differences.items()
        if names
    ]
    if any('cls' in line for line in shapes):
        lines.append('  (a classifier of another shape: another number of classes?)')
    if lines:
        raise ValueError(f'the checkpoint {file} does not fit {model}:\n' + '\n'.join(lines))


def fingerprint(weights: dict[str, Tensor]) -> str:
    """SHA-256 of the weights' names and bytes, whatever file they came in."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        values = weights[name].detach().cpu().contiguous().view(-1).view(torch.uint8)
        digest.update(values.numpy().data)
    return digest.hexdigest()
