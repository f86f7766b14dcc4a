"""Loading of checkpoints as plain data: no code from a file is executed."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_torchvision_models,
)

ZOOS: dict[str, Callable[[], dict[str, str]]] = {
    'torchvision://': get_torchvision_models,
    'open-mmlab://': get_external_models,
}


def load_data(path: str | os.PathLike, map_location: Any = 'cpu') -> dict:
    """Open a checkpoint as plain data: tensors, numbers, text, and MMEngine's log history.

    Args:
        path: A local file, an ``http(s)://`` address, or a name in a zoo that MMEngine knows, such
            as ``torchvision://resnet50`` or ``open-mmlab://detectron2/resnet50_caffe``. Downloads
            are kept in the cache of ``torch.hub``. In distributed training all processes must call
            this function: the first one downloads, the others wait for it.
        map_location: Device of the tensors, as for :func:`torch.load`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, or it contains more than plain data (the message names
            it; it is not executed), or it does not contain a dict; or a zoo has no such name.
    """
    place = _resolve(os.path.expanduser(path))
    try:
        with torch.serialization.safe_globals(_data_types()):
            data = _open(place, map_location)
    except OSError:
        raise
    # A broken or hostile pickle can raise any exception. The message of torch is left out, because
    # it explains how to load the file with `weights_only=False`.
    except Exception as error:
        raise ValueError(_why_refused(place, error)) from None
    if not isinstance(data, dict):
        raise ValueError(f'{place} holds a {type(data).__name__}, not the dict of a checkpoint')
    return data


def plain_data_only() -> None:
    """Make MMEngine use :func:`load_data` for all checkpoints in this process.

    MMEngine's loader warns about a file that is not plain data, but executes it, and ``resume``
    executes the config text in a checkpoint; so that text is removed here. Addresses of other
    kinds, such as ``s3://``, do not reach :func:`load_data`; for these a switch of torch
    (``TORCH_FORCE_WEIGHTS_ONLY_LOAD``) is set.
    """
    prefixes = ['', 'http://', 'https://', *ZOOS]
    CheckpointLoader.register_scheme(prefixes, load_from_plain_data, force=True)
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)


def load_from_plain_data(filename: str, map_location: Any = None) -> dict:
    """Load a checkpoint by :func:`load_data`: a backend of MMEngine's ``CheckpointLoader``."""
    checkpoint = load_data(filename, map_location)
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _resolve(path: str) -> str:
    """Return the address of a name in a zoo; return any other path unchanged."""
    zoo = next((prefix for prefix in ZOOS if path.startswith(prefix)), None)
    if zoo is None:
        return path
    addresses, name = ZOOS[zoo](), path.removeprefix(zoo)
    name = get_deprecated_model_names().get(name, name)
    if name not in addresses:
        near = ', '.join(get_close_matches(name, addresses)) or 'nothing like it'
        raise ValueError(f'{path}: {zoo} has no {name!r}; it has {near}')
    return addresses[name]


def _open(place: str, map_location: Any) -> Any:
    if place.startswith(('http://', 'https://')):
        return _download(place, map_location)
    if not os.path.isfile(place):
        raise FileNotFoundError(f'no checkpoint at {os.path.abspath(place)}')
    return torch.load(place, map_location=map_location, weights_only=True)


def _download(address: str, map_location: Any) -> Any:
    """Open a file from the web. Of several processes only the first one downloads it."""

    def load() -> Any:
        return torch.hub.load_state_dict_from_url(
            address, map_location=map_location, weights_only=True
        )

    if get_rank() == 0:
        try:
            return load()
        finally:  # else the other processes would wait forever if the download fails
            barrier()
    barrier()
    return load()


def _why_refused(place: str, error: Exception) -> str:
    named = re.search(r'GLOBAL (\S+)', str(error))
    if named:
        return (
            f'{place} is not a checkpoint of plain data: to load it, {named[1]} would have to be '
            'called or created. Only weights, numbers and text are loaded; nothing was executed.'
        )
    reason = str(error).rpartition('WeightsUnpickler error:')[2].strip() or type(error).__name__
    return f'{place} cannot be read as a checkpoint: {reason.splitlines()[0]}'


def _data_types() -> list[Callable | tuple[Callable, str]]:
    """List the types that a checkpoint may contain in addition to those that torch allows.

    These are NumPy's numbers and text, by their module names in NumPy 1 and 2, and MMEngine's log
    history.
    """
    rebuild_array: Any = np.empty(0).__reduce__()[0]
    rebuild_number: Any = np.float64(0).__reduce__()[0]
    codes = np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?SU'
    numbers: set[type] = {type(np.dtype(code)) for code in codes}
    return [
        (np.ndarray, 'numpy.ndarray'),
        (np.dtype, 'numpy.dtype'),
        *((number, f'numpy.dtypes.{number.__name__}') for number in numbers),
        *(
            (function, f'numpy.{core}.multiarray.{name}')
            for core in ('core', '_core')
            for function, name in ((rebuild_array, '_reconstruct'), (rebuild_number, 'scalar'))
        ),
        (HistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_statistic, 'builtins.getattr'),
    ]


def _statistic(owner: Any, name: str) -> Callable:
    """Return a method of ``HistoryBuffer``, whose pickles call ``getattr``; refuse other owners."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'attribute {name!r} of {owner!r} is not data')
    return getattr(owner, name)
