"""The end of a process among several that train or test together."""

import gc

from torch import distributed


def leave_group() -> None:
    """End the process group while Python still runs; call it when the runner is out of scope.

    A thread of gloo's group that is left when the interpreter ends, and holds a tensor, aborts the
    process, whereupon torchrun kills the others. The group ends when nothing refers to it any more,
    as the model in its wrapper does.
    """
    if distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()
