"""Check that the installed packages work together, on the device that will train.

Runs one of MMCV's compiled operators. Where something is wrong, the message says what to do.
"""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PIP = f'{sys.executable} -m pip install'
PINS = (Path(__file__).parents[1] / 'requirements.txt').read_text().split()
INSTALL = {
    'torch': f'{PIP} "setuptools>=80" wheel ninja "torch===2.13.0" "torchvision==0.28.0"'
    '  # or the build that suits your GPU',
    **{
        pin.partition('==')[0]: f'{PIP} --no-build-isolation {pin}'
        + '  # compiled against that PyTorch: about 11 minutes on 2 cores' * ('mmcv' in pin)
        for pin in PINS
    },
}
"""Needed packages, in the order in which they can be installed, and the command for each."""


def check_installed() -> None:
    commands = {name: command for name, command in INSTALL.items() if not is_installed(name)}
    if commands:
        steps = '\n'.join(f'  {command}' for command in commands.values())
        sys.exit(f'Not installed: {", ".join(commands)}. In this order:\n{steps}')


def is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


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
    """Find the device that MMEngine will train on: the GPU if there is one."""
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
        + '. Compile them again (about 11 minutes on 2 cores):\n  '
        f'PATH="{os.path.dirname(sys.executable)}:$PATH" {PIP} --force-reinstall --no-deps '
        f'--no-cache-dir --no-build-isolation onedl-mmcv=={version("onedl-mmcv")}'
    )


def main() -> None:
    check_installed()
    check_opencv()
    device = pick_device()
    check_compiled_op(device)
    versions = ', '.join(f'{name} {version(name)}' for name in INSTALL)
    print(f'Python {platform.python_version()}, {versions}: compiled operators run on {device}.')


if __name__ == '__main__':
    main()
