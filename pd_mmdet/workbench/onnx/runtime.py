"""Run ONNX files by ONNX Runtime."""

from __future__ import annotations

import os
from functools import cached_property

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor

from .packages import check_packages


class Session:
    """An ONNX file that :func:`.write.write_onnx` wrote, ready to run on the CPU.

    Args:
        file: The file.
        threads: Number of threads; 0: all.
    """

    def __init__(self, file: str | os.PathLike, threads: int = 0) -> None:
        check_packages('onnxruntime')
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Else its threads go on for a while, in the way of what runs next.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        self.session = onnxruntime.InferenceSession(
            str(file), options, providers=['CPUExecutionProvider']
        )
        self.names = [output.name for output in self.session.get_outputs()]
        self.channels = self.session.get_inputs()[0].shape[3]

    @property
    def classifies(self) -> bool:
        return self.names == ['scores']

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        return self.session.get_modelmeta().custom_metadata_map

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run on small images, and return the outputs by name.

        Args:
            images: (N, H, W, C), uint8. A file for grey ones reads the first channel.
        """
        images = np.ascontiguousarray(images[..., : self.channels])
        return dict(zip(self.names, self.session.run(None, {'image': images})))


class OnnxModel(BaseModel):
    """An ONNX file in the place of a model, for evaluators and for measuring times.

    Args:
        file: The file.
        threads: Number of threads; 0: all.
    """

    def __init__(self, file: str, threads: int = 0) -> None:
        super().__init__()
        self.session = Session(file, threads)

    def forward(
        self, inputs: Tensor | list[Tensor], data_samples: list[BaseDataElement], mode: str
    ) -> list[BaseDataElement]:
        """Predict for small images, each alone, because they may differ in size.

        Args:
            inputs: Images (C, H, W), uint8.
            data_samples: Their data samples; filled.
            mode: ``'predict'``; a file knows no other.
        """
        for image, sample in zip(inputs, data_samples):
            found = self.session.run(image.permute(1, 2, 0).numpy()[None])
            self._fill(sample, {name: torch.from_numpy(value)[0] for name, value in found.items()})
        return data_samples

    def _fill(self, sample: BaseDataElement, found: dict[str, Tensor]) -> None:
        """Put what was found in an image into its data sample."""
        raise NotImplementedError


@MODELS.register_module()
class OnnxDetector(OnnxModel):
    """A detector's ONNX file in the place of a model of MMDetection."""

    def _fill(self, sample: BaseDataElement, found: dict[str, Tensor]) -> None:
        number = int(found['counts'])
        scale = torch.tensor(sample.scale_factor).repeat(2)
        sample.pred_instances = InstanceData(
            bboxes=found['boxes'][:number] / scale,
            scores=found['scores'][:number],
            labels=found['labels'][:number],
        )


@MODELS.register_module()
class OnnxClassifier(OnnxModel):
    """A classifier's ONNX file in the place of a model of MMPretrain."""

    def _fill(self, sample: BaseDataElement, found: dict[str, Tensor]) -> None:
        sample.set_pred_score(found['scores']).set_pred_label(found['scores'].argmax())
