"""Write a student as one ONNX file, checked before it gets its name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim

from ...losses.prior_grid import prior_generator
from ...version import __version__
from .check import Difference, compare, with_odd_sizes
from .network import ClassifierNetwork, DetectorNetwork
from .packages import check_packages
from .preprocess import Preprocess
from .quantize import ORIGIN
from .runtime import Session
from .served import check_classifier, check_detector
from .student import Student

OLDEST_OPSET = 18
"""The oldest that PyTorch's exporter writes without converting."""

SIZES = ('batch', 'height', 'width')


def check_options(out: Path, opset: int) -> None:
    """Refuse what cannot be written, before anything is computed.

    Raises:
        FileExistsError: The file exists.
        ModuleNotFoundError: A package is missing.
        ValueError: The file's name does not end in .onnx, or the opset is too old or too new.
    """
    check_packages('onnx', 'onnxscript', 'onnxruntime')
    import onnx

    if out.suffix != '.onnx':
        raise ValueError(f'{out}: the name of the file must end in .onnx')
    if out.exists():
        raise FileExistsError(f'{out} exists already: name another file, or remove it')
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ValueError(f'--opset {opset}: must be {OLDEST_OPSET} to {newest}')


def write_onnx(
    student: Student,
    out: Path,
    opset: int = OLDEST_OPSET,
    fixed_size: bool = False,
    grey: bool = False,
    number: int = 8,
) -> tuple[Difference, bool]:
    """Write a student as one ONNX file, after comparing the two on validation images.

    Args:
        student: The student.
        out: The file; its folder is created.
        opset: Version of ONNX's operators.
        fixed_size: Whether the file reads images of one size only: that of the first one.
        grey: Whether it reads images of one channel, which it repeats to three.
        number: Largest number of images that are compared.

    Returns:
        The difference, and whether the size of the images is dynamic.

    Raises:
        NotImplementedError: The student cannot be exported. The message says why.
        ValueError: An image is smaller than the finest stride, or the file does not find what the
            student finds.
    """
    images = student.images(number)
    network = network_of(student, grey)
    check_size(student, images[0])
    if grey:  # in colour, because the student itself reads three channels
        images = [image[..., :1].repeat(3, axis=2) for image in images]
    first = images[0][..., :1] if grey else images[0]
    program, dynamic = exported(network, first, not fixed_size)
    proto = converted(program, network, opset, dynamic)
    for key, value in metadata(student, grey, dynamic).items():
        proto.metadata_props.add(key=key, value=value)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as unfinished:
        file = Path(unfinished, out.name)
        file.write_bytes(proto.SerializeToString())
        difference = checked(student, file, images, dynamic)
        file.rename(out)
    return difference, dynamic


def network_of(student: Student, grey: bool) -> nn.Module:
    """Surround a student with what comes before and behind it.

    Raises:
        NotImplementedError: It cannot be exported.
    """
    classifies = student.task.scope == 'mmpretrain'
    (check_classifier if classifies else check_detector)(student.model)
    preprocess = Preprocess(student.model.data_preprocessor, student.enlarge, repeat=grey)
    kind = ClassifierNetwork if classifies else DetectorNetwork
    # A copy, because its heads answer in the form of training.
    return kind(copy.deepcopy(student.model), preprocess)


def check_size(student: Student, image: np.ndarray) -> None:
    """Refuse images that are, as a detector reads them, smaller than its finest stride.

    Raises:
        ValueError: The message has both.
    """
    model = student.model
    head = getattr(model, 'rpn_head', None) or getattr(model, 'bbox_head', None)
    finest = max(prior_generator(head).strides[0]) if head else 1
    height, width = (int(side * student.enlarge) for side in image.shape[:2])
    if min(height, width) < finest:
        raise ValueError(
            f'the images are {width}x{height} pixels (width x height) as the detector reads them; '
            f'its finest stride is {finest}, and their sides must not be smaller'
        )


@torch.no_grad()
def exported(
    network: nn.Module, image: np.ndarray, dynamic: bool
) -> tuple[torch.export.ExportedProgram, bool]:
    """Trace a network.

    Args:
        network: See :func:`network_of`.
        image: (H, W, C), uint8.
        dynamic: Whether the size shall be dynamic. Where the network does not allow that, it is
            that of ``image``.

    Returns:
        The program, and whether the size is dynamic. The number of images always is.

    Raises:
        NotImplementedError: PyTorch cannot trace the network.
    """
    batch = torch.from_numpy(np.stack([image, image]))
    network(batch)  # the constants of the readers' caches are tensors, not those of the tracing
    sizes = {place: Dim.DYNAMIC for place in range(3 if dynamic else 1)}
    try:
        return torch.export.export(
            network, (batch,), dynamic_shapes=(sizes,), strict=False
        ), dynamic
    except Exception as error:  # PyTorch raises many kinds
        if not dynamic:
            reason = str(error).partition('\n')[0]
            raise NotImplementedError(f'PyTorch cannot trace this student: {reason}') from error
        return exported(network, image, dynamic=False)


def converted(
    program: torch.export.ExportedProgram, network: nn.Module, opset: int, dynamic: bool
) -> Any:
    """Turn a traced network into a ``ModelProto`` whose sizes have short names.

    Raises:
        NotImplementedError: An operator has no translation.
    """
    from .translate import TABLE

    try:
        model = torch.onnx.export(
            program,
            (),
            input_names=['image'],
            output_names=list(network.names),
            opset_version=opset,
            custom_translation_table=TABLE,
            verbose=False,
        ).model_proto
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).partition('\n')[0]
        raise NotImplementedError(f'PyTorch cannot write this student: {reason}') from error
    _clean(model.graph)
    for place, name in enumerate(SIZES[: 3 if dynamic else 1]):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    for output in model.graph.output:
        dims = output.type.tensor_type.shape.dim
        dims[0].dim_param = 'batch'
        if len(dims) > 1 and dims[1].dim_param:
            dims[1].dim_param = 'number'
    return model


def _clean(graph: Any) -> None:
    """Remove what describes how it was traced: formulas of sizes, and paths of this machine."""
    del graph.value_info[:]
    for node in graph.node:
        kept = [(each.key, each.value) for each in node.metadata_props if each.key == ORIGIN]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)


def checked(student: Student, file: Path, images: list[np.ndarray], dynamic: bool) -> Difference:
    """Compare a file with its student.

    Raises:
        ValueError: They find different things.
    """
    if dynamic:
        images = with_odd_sizes(images)
    images = [image for image in images if dynamic or image.shape == images[0].shape]
    difference = compare(student, Session(file), images)
    difference.check()
    return difference


def metadata(student: Student, grey: bool, dynamic: bool) -> dict[str, str]:
    """Return what the file says of itself; values that are no text are JSON."""
    cfg = getattr(student.model, 'test_cfg', None) or {}
    cfg = cfg.get('rcnn', cfg)
    said = dict(
        recipe=student.name,
        version=__version__,
        classes=json.dumps(student.dataset.metainfo['classes']),
        ratio=str(student.ratio),
        enlarge=str(student.enlarge),
        channels='grey' if grey or _channels(student) == 1 else 'BGR',
        size='dynamic' if dynamic else 'fixed',
    )
    if cfg:
        said |= dict(score_thr=str(cfg.score_thr), iou_threshold=str(cfg.nms.iou_threshold))
    return said


def _channels(student: Student) -> int:
    return student.dataset[0]['inputs'].shape[0]
