"""Check that pretrained weights reach the networks, before anything is trained."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from mmengine.registry import init_default_scope
from torch import nn

from ...checkpoint import load_data
from ..configs import dotted, walk
from ..tasks import task_of
from .stage import Stage

LEAST = 0.5
"""Share of a network's weights, at the least, that a file of pretrained weights must fill."""


def check_pretrained(stages: Sequence[Stage]) -> None:
    """Initialise every network that has pretrained weights, and look whether they reached it.

    Where a file's names of layers are not the network's, MMEngine only warns, and the network
    trains from random weights. Files from the web are downloaded.

    Args:
        stages: Those that are not trained any more are left out.

    Raises:
        ValueError: A file is missing, or does not fill half of its network; the message names the
            option and the first names of layers on both sides that do not fit.
    """
    tried: list[dict] = []
    for stage in stages:
        if not stage.trains or stage.finished:
            continue
        for place, network in _networks(stage.cfg.model):
            if network not in tried:
                print(f'Trying the pretrained weights of {stage.name}', flush=True)
                _check(stage, dotted(place), network)
                tried.append(network)


def _networks(model: dict) -> Iterator[tuple[tuple, dict]]:
    """Yield the configs with pretrained weights in the config of a model, with their places."""
    for place, part in walk(model, ('model',)):
        if isinstance(part, dict) and 'type' in part and _files(part):
            yield place, part


def _files(network: dict) -> list[str]:
    """Return the files from which a network is initialised."""
    options = network.get('init_cfg') or ()
    options = [options] if isinstance(options, dict) else options
    return [one['checkpoint'] for one in options if one['type'] in ('Pretrained', PretrainedInit)]


def _check(stage: Stage, option: str, cfg: dict) -> None:
    """Raise a ValueError where the weights of a file do not reach the network of a config."""
    task = task_of(stage.cfg)
    init_default_scope(task.scope)
    file = ' and '.join(_files(cfg))
    try:
        with _silence():
            network = task.models.build(copy.deepcopy(cfg))
            network.init_weights()
        pretrained = [item for one in _files(cfg) for item in _tensors(load_data(one))]
    except (OSError, ValueError) as error:
        raise ValueError(f'{stage.file}: {option}.init_cfg: {error}') from None
    missing = _not_from((tensor for _, tensor in pretrained), network)
    total = sum(weight.numel() for weight in network.parameters())
    share = 1 - sum(missing.values()) / total
    if share < LEAST:
        unknown = next((name for name, _ in pretrained if name not in network.state_dict()), 'none')
        raise ValueError(
            f'{stage.file}: {option}.init_cfg: {file} has {share:.0%} of the weights of '
            f'{cfg["type"]}, and the others would be random. It must be a file for this type of '
            f'network: {next(iter(missing))!r} of the network is not in the file, and '
            f'{unknown!r} of the file is not in the network'
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep MMEngine from listing every parameter; the training lists them."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        yield
    finally:
        logger.setLevel(level)


def _tensors(checkpoint: Any, name: str = '') -> Iterator[tuple[str, torch.Tensor]]:
    """Yield all tensors of a checkpoint with their innermost names."""
    if isinstance(checkpoint, torch.Tensor):
        yield name, checkpoint
    elif isinstance(checkpoint, dict):
        for key, inner in checkpoint.items():
            yield from _tensors(inner, str(key))


def _not_from(pretrained: Iterable[torch.Tensor], network: nn.Module) -> dict[str, int]:
    """Return the parameters that have no tensor's values: name → number of values.

    Values are compared, not names, since some networks translate the names of their files.
    """
    known = {_digest(tensor) for tensor in pretrained}
    return {
        name: weight.numel()
        for name, weight in network.named_parameters()
        if _digest(weight) not in known
    }


def _digest(tensor: torch.Tensor) -> bytes:
    return hashlib.sha256(tensor.detach().float().contiguous().numpy().tobytes()).digest()
