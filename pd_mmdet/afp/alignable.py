from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import CLRHead, EmbeddingRPNHead
from mmdet.models.detectors import (
    GLIP,
    DetectionTransformer,
    KnowledgeDistillationSingleStageDetector,
    MaskFormer,
)
from torch import nn

QUERIES = 'its predictions belong to learned queries, not to places of the image: it has no priors'
HEADS = ('bbox_head', 'rpn_head', 'mask_head')


def check_alignable(model: nn.Module) -> None:
    """Refuse a detector whose outputs on two sizes of an image cannot be aligned place by place.

    Raises:
        NotImplementedError: Names the detector and the reason.
    """
    reason = _obstacle(model)
    if reason:
        raise NotImplementedError(f'AFP of {type(model).__mro__[2].__name__}: {reason}')


def _obstacle(model: nn.Module) -> str | None:
    rpn_head = getattr(model, 'rpn_head', None)
    if isinstance(model, (DetectionTransformer, MaskFormer)):
        return QUERIES
    if isinstance(rpn_head, EmbeddingRPNHead):
        return QUERIES
    if isinstance(model, GLIP):
        return 'it reads a text beside the image'
    if isinstance(model, KnowledgeDistillationSingleStageDetector):
        return 'it is a distiller itself; take the plain detector'
    if isinstance(getattr(model, 'bbox_head', None), CLRHead):
        return 'its priors are lanes, whose pixels are those of a fixed size of the image'
    if getattr(model, 'neck', None) is None:
        return 'it has no neck, whose features could be rescaled'
    if not any(isinstance(getattr(model, name, None), nn.Module) for name in HEADS):
        return f'it has none of the heads {", ".join(HEADS)}'
    if type(model.data_preprocessor) is not DetDataPreprocessor:
        name = type(model.data_preprocessor).__name__
        return f'its {name} makes training targets of the image, which are not brought to the small'
    return None
