import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Train in PyTorch's memory format ``channels_last``, the teacher's part too.

    A convolution whose weights are in this format computes in it, whatever the format of its input.
    That is faster on CPUs, and PyTorch's manual advises it for GPUs with AMP; the values are the
    same up to rounding.
    """

    def before_train(self, runner: Runner) -> None:
        """Lay out the weights."""
        runner.model.to(memory_format=torch.channels_last)
