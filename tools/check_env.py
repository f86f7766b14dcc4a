"""Check that the installed packages work together, on the device that will train.

Runs one of MMCV's compiled operators; where something is amiss, says what to do about it.
"""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version

REBUILD = (
    f'PATH="{os.path.dirname(sys.executable)}:$PATH" {sys.executable} -m pip install '
    '--force-reinstall --no-deps --no-cache-dir --no-build-isolation '
    f'onedl-mmcv=={version("onedl-mmcv")}'
)


def check_opencv() -> None:
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        sys.exit(
            f'OpenCV does not start: {error}.\n'
            'It needs system libraries that bare servers lack. Install them, for example\n'
            '  apt-get install libgl1 libglib2.0-0    (Debian, Ubuntu)\n'
            '  dnf install mesa-libGL glib2           (Fedora, RHEL)'
        )


def pick_device() -> str:
    """The device that MMEngine will train on: the GPU if there is one."""
    import torch

    if torch.cuda.is_available():
        return 'cuda'
    # An empty CUDA_VISIBLE_DEVICES is how a user asks for the CPU.
    wanted = os.environ.get('CUDA_VISIBLE_DEVICES') != ''
    if (
        wanted
        and shutil.which('nvidia-smi')
        and not subprocess.call(
            ['nvidia-smi', '-L'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    ):
        sys.exit(
            f'There is a GPU, but PyTorch {torch.__version__} cannot use it.\n'
            f'Its build needs a driver for CUDA {torch.version.cuda}: nvidia-smi shows, at the top '
            'right, up to which CUDA yours goes.\n'
            'Update the driver, or train on the CPU with CUDA_VISIBLE_DEVICES="".'
        )
    return 'cpu'


def check_compiled_op(device: str) -> None:
    """Non-maximum suppression of three boxes, of which the second hides behind the first."""
    import torch

    try:
        from mmcv.ops import nms

        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
        scores = torch.tensor([0.9, 0.8, 0.7], device=device)
        kept = nms(boxes, scores, iou_threshold=0.5)[1].tolist()
    except (ImportError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
    else:
        if kept == [0, 2]:
            return
        reason = f'nms kept boxes {kept} instead of [0, 2]'
    sys.exit(
        f"MMCV's compiled operators do not run on {device}: {reason}\n"
        'They must be compiled against the installed PyTorch'
        + (', where the GPU and nvcc can be seen' if device == 'cuda' else '')
        + f'. Compile them again (about 11 minutes on 2 cores):\n  {REBUILD}'
    )


def main() -> None:
    check_opencv()
    device = pick_device()
    check_compiled_op(device)
    packages = ['torch', 'onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection']
    versions = ', '.join(f'{package} {version(package)}' for package in packages)
    print(f'Python {platform.python_version()}, {versions}: compiled operators run on {device}.')


if __name__ == '__main__':
    main()
