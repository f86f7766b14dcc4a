"""Imported by trainings in several processes (`custom_imports`): they may share a device."""

from copy import deepcopy
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

WATCHED = 'backbone.bn1.num_batches_tracked'
"""A buffer of student and teacher that norms in eval neither read nor write."""

set_device = torch.cuda.set_device


def share_devices(device: int) -> None:
    """MMEngine's launchers want a GPU for every process, whatever the backend."""
    if torch.cuda.is_available():
        set_device(device % torch.cuda.device_count())


torch.cuda.set_device = share_devices


@HOOKS.register_module()
class Watch(Hook):
    """Note in ``rank<n>.pth`` what DDP sees, and with which weights is validated.

    A buffer of the student, and one of the teacher, start with another value in every process.
    """

    def before_train(self, runner: Runner) -> None:
        for buffer in self._buffers(runner):
            buffer.fill_(10 + get_rank())

    def after_val_iter(self, runner: Runner, **_: object) -> None:
        self.validated = deepcopy(runner.model.module.state_dict())

    def after_train(self, runner: Runner) -> None:
        student, teacher = self._buffers(runner)
        model = runner.model.module
        seen = [*runner.model.named_parameters(), *runner.model.named_buffers()]
        hidden = [*model.teacher.model.parameters(), *model.teacher.model.buffers()]
        own = set(map(id, hidden))
        (ema,) = (hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook))
        record = dict(
            wrapper=type(runner.model).__name__,
            names=[name for name, _ in seen],
            teachers=[name for name, tensor in seen if id(tensor) in own],
            student=student.item(),
            teacher=teacher.item(),
            ema_shares_teacher=ema.module.teacher is model.teacher,
            validated=self.validated,
        )
        torch.save(record, Path(runner.work_dir) / f'rank{get_rank()}.pth')

    def _buffers(self, runner: Runner) -> tuple[Tensor, Tensor]:
        model = runner.model.module
        return model.get_buffer(WATCHED), model.teacher.model.get_buffer(WATCHED)
