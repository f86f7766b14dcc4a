"""Give the layers of an ONNX file weights and activations of eight bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

LAYERS = ('Conv', 'Gemm', 'MatMul')
"""Operators of ONNX that may have weights."""

BETWEEN = ('Add', 'Clip', 'MaxPool', 'Relu', 'Resize')
"""Operators that compute in eight bits, too, where all they read comes from convolutions in eight
bits: turning activations to float and back would cost more than eight bits save."""

ORIGIN = 'pkg.torch.onnx.class_hierarchy'
"""Where PyTorch's exporter writes the classes of the modules that an operator comes from."""


def quantize(file: Path, out: Path, images: Iterator[np.ndarray]) -> list[str]:
    """Write a file that computes in eight bits, with a scale for each channel of weights.

    Layers do, and what lies between convolutions; decoding and suppression stay as they are, and so
    does the first convolution: it has few weights, and what it loses is lost to all behind it.

    Args:
        file: A file that :func:`.write.write_onnx` wrote.
        out: The new file.
        images: Small images (H, W, C), uint8, that show how large activations become.

    Returns:
        What stayed in float: the weights of layers, and other products of matrices.

    Raises:
        ValueError: There is no image of a size that the file reads.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reader = Reader(file, images)
    with TemporaryDirectory(dir=out.parent) as folder:
        ready, unfinished = (str(Path(folder, name)) for name in ('ready.onnx', 'int8.onnx'))
        model = onnx.load(file)
        nodes = _in_eight_bits(model.graph)
        quant_pre_process(model, ready, skip_symbolic_shape=True, skip_optimization=True)
        quantize_static(
            ready,
            unfinished,
            reader,
            op_types_to_quantize=[*LAYERS, *BETWEEN],
            nodes_to_quantize=nodes,
            per_channel=True,
            # With signed ones ONNX Runtime computes a layer in float on x86 if others read its
            # input or output, too.
            activation_type=QuantType.QUInt8,
        )
        smaller = onnx.load(unfinished)
        del smaller.metadata_props[:]
        smaller.metadata_props.extend(model.metadata_props)
        for node in smaller.graph.node:
            del node.metadata_props[:]
        onnx.save(smaller, unfinished)
        Path(unfinished).rename(out)
    rest = [node for node in model.graph.node if node.op_type in LAYERS and node.name not in nodes]
    return [node.input[1] if _is_layer(node) else node.name for node in rest]


class Reader:
    """Hand images to ONNX Runtime's calibration, one by one.

    Args:
        file: The file that reads them.
        images: (H, W, C), uint8. Those of another size than the file reads are passed over.

    Raises:
        ValueError: No image is left.
    """

    def __init__(self, file: Path, images: Iterator[np.ndarray]) -> None:
        import onnx

        dims = onnx.load(file).graph.input[0].type.tensor_type.shape.dim
        sizes = [dim.dim_value for dim in dims[1:3]]
        fitting = [
            image[None, ..., : dims[3].dim_value]
            for image in images
            if all(size in (0, side) for size, side in zip(sizes, image.shape))
        ]
        if not fitting:
            raise ValueError(
                'no calibration images: the training set has none of a size that the file reads'
            )
        self.rest = iter(fitting)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, or None after the last."""
        image = next(self.rest, None)
        return None if image is None else dict(image=np.ascontiguousarray(image))


def _in_eight_bits(graph: Any) -> list[str]:
    """Return the names of the layers but the first convolution, and of the operators between."""
    layers = [node for node in graph.node if _is_layer(node)]
    first = next((node.name for node in layers if node.op_type == 'Conv'), None)
    nodes = [node for node in layers if node.name != first]
    made = {node.output[0] for node in nodes if node.op_type == 'Conv'}
    for node in graph.node:  # each behind those that it reads
        read = node.input if node.op_type == 'Add' else node.input[:1]
        if node.op_type in BETWEEN and made.issuperset(read):
            made.add(node.output[0])
            nodes.append(node)
    return [node.name for node in nodes]


def _is_layer(node: Any) -> bool:
    """Return whether an operator is that of a layer; decoding has products of matrices, too."""
    origin = {each.key: each.value for each in node.metadata_props}.get(ORIGIN, '')
    return node.op_type == 'Conv' or (node.op_type in LAYERS and ".Linear'" in origin)
