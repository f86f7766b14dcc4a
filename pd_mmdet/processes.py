"""Clean end of a process in distributed training or testing."""

import gc

from torch import distributed


def leave_group() -> None:
    """End the process group while Python still runs. Call this when the runner is out of scope.

    A thread of the gloo backend that still holds a tensor when the interpreter ends aborts the
    process, and then torchrun kills the other processes. The group ends only when nothing refers to
    it; a model in its distributed wrapper does.
    """
    if distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()
