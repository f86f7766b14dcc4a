"""Models whose class is made at run time survive copies, files and other processes."""

import copy
import io
import pickle

import pytest
import torch
from mmdet.models import RetinaNet
from torch import multiprocessing, nn

from pd_mmdet.distillers import AFPDistiller
from tests.helpers.tiny import PKD, batch, build, distiller, forward, retinanet


def through_a_file(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_pickle(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))


@pytest.fixture
def distilled() -> nn.Module:
    terms = dict(pkd=PKD)
    return build(distiller(teacher=dict(cfg=retinanet()), terms=terms, isrd=dict(weight=1.0)))


@pytest.fixture
def assistant() -> nn.Module:
    return build(dict(type='AFPDetector', detector=retinanet(), ratio=2))


def test_there_is_one_class_for_a_pair(distilled):
    assert isinstance(distilled, AFPDistiller) and isinstance(distilled, RetinaNet)
    assert type(build(distiller())) is type(distilled)
    assert type(distilled).__module__ == AFPDistiller.__module__


@pytest.mark.parametrize('copied', [copy.deepcopy, through_pickle, through_a_file])
def test_a_copy_computes_the_same_losses(copied, distilled):
    twin = copied(distilled)
    assert type(twin) is type(distilled)
    losses, again = forward(distilled.train(), batch()), forward(twin.train(), batch())
    assert losses.keys() == again.keys() and 'distill_pkd_loss' in losses
    torch.testing.assert_close(again, losses, rtol=0, atol=0)


@pytest.mark.parametrize('copied', [copy.deepcopy, through_pickle, through_a_file])
def test_a_copy_of_an_assistant_has_its_features(copied, assistant):
    image = torch.rand(1, 3, 128, 128)
    twin = copied(assistant)
    assert type(twin) is type(assistant)
    features = assistant.eval().extract_feat(image)
    torch.testing.assert_close(twin.eval().extract_feat(image), features, rtol=0, atol=0)


def names_of(model: nn.Module, queue: multiprocessing.Queue) -> None:
    queue.put((type(model).__name__, len(model.state_dict())))


def test_a_spawned_process_takes_it(distilled):
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=names_of, args=(distilled, queue))
    process.start()
    assert queue.get(timeout=120) == ('AFPDistiller[RetinaNet]', len(distilled.state_dict()))
    process.join()
