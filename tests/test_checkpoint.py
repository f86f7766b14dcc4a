import multiprocessing
import os
import pickle
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torchvision.models import ResNet18_Weights

from pd_mmdet.checkpoint import load_data, plain_data_only
from tests.helpers.hostile import Touch


class Escape:
    """Names an attribute of something else than MMEngine's log history."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode):
        return dict(loss=self.layer(torch.stack(inputs)).square().mean())


def runner(work_dir: Path, epochs: int, **kwargs) -> Runner:
    return Runner(
        Model(),
        str(work_dir),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(2)) for _ in range(4)],
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_size=2,
            num_workers=0,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        randomness=dict(seed=0),
        experiment_name=work_dir.name + str(epochs),
        **kwargs,
    )


@pytest.fixture
def plain_mmengine(monkeypatch):
    """MMEngine under ``plain_data_only``, put back afterwards."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    plain_data_only()


def test_what_mmengine_saves_comes_back(tmp_path):
    runner(tmp_path, 1).train()
    path = tmp_path / 'epoch_1.pth'
    trusted = torch.load(path, weights_only=False)
    data = load_data(path)
    assert data.keys() == trusted.keys()
    assert torch.equal(data['state_dict']['layer.weight'], trusted['state_dict']['layer.weight'])
    logs = data['message_hub']['log_scalars']['train/loss']
    assert isinstance(logs, HistoryBuffer)
    assert logs.mean() == trusted['message_hub']['log_scalars']['train/loss'].mean()


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'int32', 'uint8', 'bool', '<U3'])
def test_numpy_comes_back(tmp_path, dtype):
    array = np.array([0, 1, 2]).astype(dtype)
    torch.save(dict(array=array, number=array[1]), tmp_path / 'numpy.pth')
    data = load_data(tmp_path / 'numpy.pth')
    assert data['array'].dtype == array.dtype
    assert (data['array'] == array).all() and data['number'] == array[1]


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < '2.0.0', reason='NumPy 2 names')
def test_names_of_numpy_1(tmp_path):
    torch.save(dict(number=np.float64(1.5), array=np.arange(2)), tmp_path / 'new.pth')
    with (
        zipfile.ZipFile(tmp_path / 'new.pth') as new,
        zipfile.ZipFile(tmp_path / 'old.pth', 'w') as old,
    ):
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b'numpy._core', b'numpy.core'))
    data = load_data(tmp_path / 'old.pth')
    assert data['number'] == 1.5 and data['array'].tolist() == [0, 1]


def test_the_old_file_format(tmp_path):
    weights = dict(state_dict=dict(weight=torch.ones(2)))
    torch.save(weights, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert load_data(tmp_path / 'old.pth')['state_dict']['weight'].tolist() == [1, 1]


@pytest.mark.parametrize('save', ['new', 'old', 'pickle'])
def test_a_hostile_file_is_refused_and_not_run(tmp_path, save):
    path, trace = tmp_path / 'hostile.pth', tmp_path / 'trace'
    data = dict(state_dict=dict(weight=1.0, extra=Touch(trace)))
    if save == 'pickle':
        path.write_bytes(pickle.dumps(data, protocol=2))
    else:
        torch.save(data, path, _use_new_zipfile_serialization=save == 'new')
    with pytest.raises(ValueError, match=r'hostile\.pth.* io\.open'):
        load_data(path)
    assert not trace.exists()


def test_attributes_are_refused(tmp_path):
    torch.save(dict(method=Escape()), tmp_path / 'escape.pth')
    with pytest.raises(ValueError, match=r"escape\.pth.*'__init__'"):
        load_data(tmp_path / 'escape.pth')


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04' + bytes(50)])
def test_a_broken_file(tmp_path, content):
    (tmp_path / 'broken.pth').write_bytes(content)
    with pytest.raises(ValueError, match=r'broken\.pth cannot be read'):
        load_data(tmp_path / 'broken.pth')


def test_not_a_dict(tmp_path):
    torch.save(torch.ones(1), tmp_path / 'tensor.pth')
    with pytest.raises(ValueError, match=r'tensor\.pth holds a Tensor'):
        load_data(tmp_path / 'tensor.pth')


def test_a_missing_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / 'missing.pth')):
        load_data('missing.pth')


def test_names_of_zoos(monkeypatch):
    asked = []

    def download(url, map_location, weights_only):
        asked.append((url, weights_only))
        return {}

    monkeypatch.setattr(torch.hub, 'load_state_dict_from_url', download)
    load_data('torchvision://resnet18')
    load_data('https://host/file.pth')
    assert asked == [
        (ResNet18_Weights.IMAGENET1K_V1.url, True),
        ('https://host/file.pth', True),
    ]
    load_data('open-mmlab://detectron2/resnet50_caffe')
    assert asked[-1][0].endswith('resnet50_msra-5891d200.pth')
    with pytest.raises(ValueError, match='resnet18'):
        load_data('torchvision://resnet181')


class Files(SimpleHTTPRequestHandler):
    """Serves a folder slowly, and notes which files it is asked for."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        time.sleep(0.3)
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server of the file ``data.pth``, to be started; downloads go to another folder."""
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), tmp_path / 'data.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '*')
    handler = partial(Files, directory=tmp_path)
    with ThreadingHTTPServer(('localhost', 0), handler) as server:
        server.asked = []
        yield server


def open_in_process(rank: int, meeting: Path, address: str, found: multiprocessing.Queue) -> None:
    torch.distributed.init_process_group('gloo', f'file://{meeting}', rank=rank, world_size=2)
    try:
        found.put(load_data(address)['state_dict']['weight'].tolist())
    except Exception as error:
        found.put(type(error).__name__)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('name, wanted', [('data.pth', [1, 1]), ('missing.pth', 'HTTPError')])
def test_one_of_several_processes_downloads(tmp_path, web, name, wanted):
    address = f'http://localhost:{web.server_port}/{name}'
    fork = multiprocessing.get_context('fork')
    found = fork.Queue()
    processes = [
        fork.Process(
            target=open_in_process, args=(rank, tmp_path / 'meeting', address, found), daemon=True
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    # After the forks: a fork must not copy a process that has another thread at work.
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        assert [found.get(timeout=60) for _ in processes] == [wanted, wanted]
        for process in processes:
            process.join(timeout=60)
            assert process.exitcode == 0
    finally:
        web.shutdown()
    assert len(web.asked) == (1 if name == 'data.pth' else 2)


def test_mmengine_refuses_hostile_files(tmp_path, plain_mmengine):
    trace = tmp_path / 'trace'
    torch.save(dict(state_dict=Touch(trace)), tmp_path / 'hostile.pth')
    with pytest.raises(ValueError, match='plain data'):
        load_checkpoint(Model(), str(tmp_path / 'hostile.pth'))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'hostile.pth', weights_only=False)
    assert not trace.exists()


def test_resume_does_not_execute_the_config_of_a_checkpoint(tmp_path, plain_mmengine):
    runner(tmp_path, 1, cfg=Config(dict(seed=0))).train()
    path, trace = tmp_path / 'epoch_1.pth', tmp_path / 'trace'
    checkpoint = load_data(path)
    checkpoint['meta']['config'] = f'open({str(trace)!r}, "w")'
    torch.save(checkpoint, path)
    resumed = runner(tmp_path, 2, resume=True, load_from=str(path))
    resumed.train()
    assert resumed.epoch == 2 and resumed.iter == 4
    assert not trace.exists()
    assert os.path.exists(tmp_path / 'epoch_2.pth')
