import time

import torch

from pd_mmdet.workbench.costs.speed import WARM_UP, inference_seconds, medians


def test_calls_take_turns_and_get_their_round():
    order = []
    calls = {name: lambda number, name=name: order.append((name, number)) for name in 'ab'}
    found = medians(calls, rounds=2)
    rounds = range(-WARM_UP, 2)
    assert order == [(name, number) for number in rounds for name in 'ab']
    assert {*found} == {'a', 'b'}


def test_the_median_of_the_rounds_without_the_warm_up():
    def call(number: int) -> None:
        time.sleep(0.2 if number < 0 else 0.02 * (number == 1))

    assert medians(dict(slow=call), rounds=3)['slow'] < 0.02


def test_batches_have_the_asked_number_of_images():
    seen = []

    class Model(torch.nn.Module):
        def test_step(self, batch):
            assert torch.is_inference_mode_enabled()
            seen.append(len(batch['inputs']))

    dataset = [dict(inputs=torch.zeros(3, 4, 4), data_samples=None) for _ in range(2)]
    found = inference_seconds(dict(one=(Model(), dataset)), [1, 3], rounds=2, device='cpu')
    assert {*seen} == {1, 3} and {*found['one']} == {1, 3}
