"""Give the layers of an ONNX file weights and activations of eight bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

LAYERS = ('Conv', 'Gemm', 'MatMul')
"""Operators that have weights."""

CLASSES = 'pkg.torch.onnx.class_hierarchy'
"""Where PyTorch's exporter writes the classes of the modules that an operator comes from."""


def quantize(file: Path, out: Path, images: Iterator[np.ndarray]) -> list[str]:
    """Write a file whose layers compute in eight bits, with a scale for each channel of weights.

    Only layers do; decoding and suppression stay as they are.

    Args:
        file: A file that :func:`.write.write_onnx` wrote.
        out: The new file.
        images: Small images (H, W, C), uint8, that show the range of activations.

    Returns:
        The operators with weights that stayed in float.

    Raises:
        ValueError: There are no images that the file can read.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reader = _reader(file, images)
    with TemporaryDirectory(dir=out.parent) as folder:
        ready, unfinished = (str(Path(folder, name)) for name in ('ready.onnx', 'int8.onnx'))
        quant_pre_process(str(file), ready, skip_symbolic_shape=True, skip_optimization=True)
        layers = _layers(onnx.load(ready))
        quantize_static(
            ready,
            unfinished,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(LAYERS),
            nodes_to_quantize=layers,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(unfinished)
        del model.metadata_props[:]
        model.metadata_props.extend(onnx.load(file).metadata_props)
        onnx.save(model, unfinished)
        Path(unfinished).rename(out)
    return _in_float(model)
