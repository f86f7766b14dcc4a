from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import Registry
from torch import Tensor

from ..checkpoint import load_data
from ..mixin import with_preprocessor

LOWER = ('bfloat16', 'float16')
"""Types of numbers in which a teacher may run to be faster."""

SHOWN = 8
"""Number of weights that a message about a checkpoint lists for each kind of difference."""


class Teacher:
    """A frozen network from which a student learns.

    It is not an ``nn.Module``, so it does not appear in parameter lists, state dicts, optimisers
    and DDP, and a deep copy of its student (EMA) shares it.

    Args:
        registry: The registry that builds the network.
        cfg: Config of the model, or path of a config file that has it as ``model`` (``mmdet::…``
            is allowed). If it is the config of a distiller, the teacher is its student.
        checkpoint: File or URL of its weights: a checkpoint of an ordinary model or a distiller.
            :meth:`load` opens it.
        view: View that it reads, ``'hr'`` or ``'lr'``.
        dtype: ``'bfloat16'`` or ``'float16'``: the teacher alone runs in mixed precision. None: in
            that of the student.

    Raises:
        ValueError: The dtype is none of these.
    """

    def __init__(
        self,
        registry: Registry,
        cfg: dict | str,
        checkpoint: str | None = None,
        view: str = 'hr',
        dtype: str | None = None,
    ) -> None:
        if dtype not in (None, *LOWER):
            raise ValueError(f'teacher.dtype={dtype!r}: must be None or one of {", ".join(LOWER)}')
        self.model = registry.build(plain_model_cfg(cfg))
        self.model.requires_grad_(False).eval()
        self.checkpoint = checkpoint
        self.view = view
        self.dtype = dtype
        self.fingerprint: str | None = None
        self.classes: tuple[str, ...] | None = None

    def __deepcopy__(self, memo: dict) -> Teacher:
        return self

    def autocast(self, device: str) -> AbstractContextManager:
        """Return the context in which it runs on a type of device."""
        return torch.autocast(device, getattr(torch, self.dtype)) if self.dtype else nullcontext()

    def load(self) -> None:
        """Load the checkpoint and compute the fingerprint (SHA-256) of its weights.

        Raises:
            FileNotFoundError: The checkpoint does not exist.
            ValueError: It does not fit, see :func:`check_fits`.
        """
        try:
            checkpoint = load_data(self.checkpoint or '')
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'teacher.checkpoint={self.checkpoint!r}: {error}. Train the previous stage first, '
                'then set the environment variable at the top of the config (TEACHER_CHECKPOINT or '
                'ASSISTANT_CHECKPOINT) to its checkpoint'
            ) from None
        weights = student_part(checkpoint)
        check_fits(weights, self.model.state_dict(), str(self.checkpoint))
        self.model.load_state_dict(weights)
        self.fingerprint = fingerprint(weights)
        self.classes = class_names(checkpoint)


def plain_model_cfg(cfg: dict | str) -> dict:
    """Return the config of an ordinary model.

    Args:
        cfg: Config of an ordinary model or a distiller, or path of a config file that has it as
            ``model``. A top-level data preprocessor of the file is put into the model's config.

    Returns:
        The config of the model; for a distiller that of its student.
    """
    if isinstance(cfg, str):
        file = get_config(cfg) if '::' in cfg else Config.fromfile(cfg)
        cfg = with_preprocessor(file.model, file.get('data_preprocessor'))
    if 'student' in cfg:
        return with_preprocessor(cfg['student'], cfg.get('data_preprocessor'))
    return cfg


def student_part(checkpoint: dict) -> dict[str, Tensor]:
    """Return the weights of the model in a checkpoint; of a distiller, those of its student."""
    state_dict = checkpoint.get('state_dict', checkpoint)
    plain = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    return {name: value for name, value in plain.items() if not name.startswith('distill.')}


def class_names(checkpoint: dict) -> tuple[str, ...] | None:
    """Return the names of the classes for which a checkpoint was trained, or None if unknown."""
    meta = checkpoint.get('meta') or {}
    # As in MMDetection's `init_detector`: older checkpoints have CLASSES, some have it in `meta`.
    entries = {**meta, **(meta.get('dataset_meta') or {})}
    classes = {key.lower(): value for key, value in entries.items()}.get('classes')
    return tuple(classes) if classes else None


def check_fits(
    weights: dict[str, Tensor],
    wanted: dict[str, Tensor],
    file: str,
    model: str = 'the teacher that teacher.cfg describes',
) -> None:
    """Refuse weights that are not exactly those of a model.

    Args:
        weights: Weights of a checkpoint.
        wanted: State dict of the model.
        file: Name of the checkpoint, for the message.
        model: Name of the model, for the message.

    Raises:
        ValueError: Weights are missing, unexpected, or of another shape. The message lists them.
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
    """Compute the SHA-256 of the names and bytes of weights; it does not depend on the file."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        values = weights[name].detach().cpu().contiguous().view(-1).view(torch.uint8)
        digest.update(values.numpy().data)
    return digest.hexdigest()
