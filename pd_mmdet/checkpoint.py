"""Checkpoints are opened as plain data: nothing that a file says is executed."""

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
        path: A local file, an ``http(s)://`` address, or a name in the zoos that MMEngine
            knows, such as ``torchvision://resnet50`` or
            ``open-mmlab://detectron2/resnet50_caffe``. Downloads stay in ``torch.hub``'s cache;
            all processes of a distributed training must ask for them, as the first one downloads.
        map_location: Where tensors go, as for :func:`torch.load`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, holds more than data (what it names is said, and is
            not run), or is no dict; or a zoo has no such name.
    """
    place = _resolve(os.path.expanduser(path))
    try:
        with torch.serialization.safe_globals(_data_types()):
            data = _open(place, map_location)
    except OSError:
        raise
    # A broken or hostile pickle can raise anything. Torch's own message explains how to load the
    # file with `weights_only=False`: it is left out.
    except Exception as error:
        raise ValueError(_why_refused(place, error)) from None
    if not isinstance(data, dict):
        raise ValueError(f'{place} holds a {type(data).__name__}, not the dict of a checkpoint')
    return data


def plain_data_only() -> None:
    """Make MMEngine, too, open the checkpoints of this process by :func:`load_data`.

    Its own loader executes a file that is not plain data after a warning, and ``resume``
    executes the config text that a checkpoint carries: that text is dropped here. What MMEngine
    opens by other ways (``s3://`` and the like) torch's own switch holds to weights.
    """
    prefixes = ['', 'http://', 'https://', *ZOOS]
    CheckpointLoader.register_scheme(prefixes, load_from_plain_data, force=True)
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)


def load_from_plain_data(filename: str, map_location: Any = None) -> dict:
    """:func:`load_data` as a backend of MMEngine's ``CheckpointLoader``."""
    checkpoint = load_data(filename, map_location)
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _resolve(path: str) -> str:
    """The address behind a zoo's name; anything else as it is."""
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
    """Open a file of the web; of several processes the first fetches it for all."""

    def load() -> Any:
        return torch.hub.load_state_dict_from_url(
            address, map_location=map_location, weights_only=True
        )

    if get_rank() == 0:
        try:
            return load()
        finally:  # or the others would wait for ever where it fails
            barrier()
    barrier()
    return load()


def _why_refused(place: str, error: Exception) -> str:
    named = re.search(r'GLOBAL (\S+)', str(error))
    if named:
        return (
            f'{place} is not a checkpoint of plain data: it names {named[1]}, which loading would '
            'call or create. Only weights, numbers and text are loaded, and nothing was run.'
        )
    reason = str(error).rpartition('WeightsUnpickler error:')[2].strip() or type(error).__name__
    return f'{place} cannot be read as a checkpoint: {reason.splitlines()[0]}'


def _data_types() -> list[Callable | tuple[Callable, str]]:
    """What a checkpoint may name besides what torch allows: NumPy's numbers and text under the
    module names of NumPy 1 and 2, and MMEngine's log history."""
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
    """A method of ``HistoryBuffer``, which its pickles name by ``getattr``; of nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'attribute {name!r} of {owner!r} is not data')
    return getattr(owner, name)
