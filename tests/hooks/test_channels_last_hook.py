import torch


def channels_last(weight: torch.Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last)


def test_trains_the_same_weights_in_another_format(distiller, make_runner):
    plain = make_runner('plain', distiller, [])
    plain.train()
    runner = make_runner('channels_last', distiller, [dict(type='ChannelsLastHook')])
    runner.train()
    for detector in (runner.model, runner.model.teacher.model):
        assert channels_last(detector.neck.fpn_convs[0].conv.weight)
        assert not channels_last(plain.model.neck.fpn_convs[0].conv.weight)
    for name, weight in plain.model.state_dict().items():
        torch.testing.assert_close(runner.model.state_dict()[name], weight, rtol=1e-3, atol=1e-5)
