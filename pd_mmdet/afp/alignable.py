"""Checks whether the outputs of a detector can be aligned between two sizes of an image."""

from mmdet.models.data_preprocessors import BoxInstDataPreprocessor, DetDataPreprocessor
from mmdet.models.detectors import (
    GLIP,
    BaseDetector,
    CLRNet,
    DetectionTransformer,
    Detectron2Wrapper,
    KnowledgeDistillationSingleStageDetector,
    MaskFormer,
    SemiBaseDetector,
    SparseRCNN,
)
from mmdet.registry import MODELS
from mmengine.model import BaseDataPreprocessor
from torch import nn

from ..sub_cells import SubCellDetector

QUERIES = 'its predictions belong to learned queries, not to places of the image: it has no priors'
CLASSES = {
    DetectionTransformer: QUERIES,
    MaskFormer: QUERIES,
    SparseRCNN: QUERIES,
    CLRNet: 'its priors are lanes, whose pixels are those of a fixed size of the image',
    GLIP: 'it reads a text beside the image',
    KnowledgeDistillationSingleStageDetector: 'it is a distiller itself; take the plain detector',
    SemiBaseDetector: 'it trains a detector and its moving average; take the plain detector',
    Detectron2Wrapper: "its network is Detectron2's",
}
PREPROCESSORS = (BaseDataPreprocessor, DetDataPreprocessor, BoxInstDataPreprocessor)


def check_class(detector: dict) -> None:
    """Refuse the config of a detector whose class cannot be aligned.

    Looks at the class only, so that nothing is built: building may load other files.

    Args:
        detector: Config of a detector.

    Raises:
        NotImplementedError: The class cannot be aligned. The message names it and the reason.
    """
    kind = detector['type']
    kind = kind if isinstance(kind, type) else MODELS.get(kind)
    if kind is None:
        return  # the error that building raises explains it
    if issubclass(kind, SubCellDetector):
        return check_class(detector['detector'])
    if not issubclass(kind, BaseDetector):
        _refuse(kind, 'it is no detector of single images')
    for refused, reason in CLASSES.items():
        if issubclass(kind, refused):
            _refuse(kind, reason)


def check_alignable(model: nn.Module) -> None:
    """Refuse a built detector that has no neck, or whose data preprocessor AFP does not know.

    Raises:
        NotImplementedError: The detector cannot be aligned. The message names its class and the
            reason.
    """
    kind = type(model)
    preprocessor = type(model.data_preprocessor)
    if getattr(model, 'neck', None) is None:
        _refuse(kind, 'it has no neck, whose features could be rescaled')
    if preprocessor not in PREPROCESSORS:
        known = ', '.join(each.__name__ for each in PREPROCESSORS)
        _refuse(kind, f'its data_preprocessor is a {preprocessor.__name__}; AFP knows {known}')


def _refuse(kind: type, reason: str) -> None:
    raise NotImplementedError(f'AFP of {kind.__name__}: {reason}')
