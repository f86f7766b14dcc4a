"""Which students can be exported, and why others cannot."""

from __future__ import annotations

from typing import NoReturn

from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import (
    ATSSHead,
    FCOSHead,
    GFLHead,
    RetinaHead,
    RPNHead,
    RTMDetHead,
    RTMDetSepBNHead,
    SSDHead,
    YOLOXHead,
)
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import (
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.config import ConfigDict
from torch import nn

DENSE_HEADS = (
    *(ATSSHead, FCOSHead, GFLHead, RetinaHead, RTMDetHead, RTMDetSepBNHead, SSDHead, YOLOXHead),
)
"""Heads of one-stage detectors. Subclasses may predict otherwise, so they are not served."""

BOX_HEADS = (ConvFCBBoxHead, Shared2FCBBoxHead, Shared4Conv1FCBBoxHead)
"""Box heads of two-stage detectors."""


def check_detector(model: nn.Module) -> None:
    """Refuse a detector that cannot be exported.

    Raises:
        NotImplementedError: The message says why.
    """
    predict = type(model).predict
    if predict is TwoStageDetector.predict:
        _check_two_stages(model)
    elif predict is SingleStageDetector.predict:
        _check_head(model.bbox_head, DENSE_HEADS)
        _check_suppression(model.test_cfg)
    else:
        _refuse(f'a {type(model).__name__} predicts in a way of its own')
    if type(model.data_preprocessor) is not DetDataPreprocessor:
        _refuse(f'its images are prepared by a {type(model.data_preprocessor).__name__}')
    for name, part in model.named_modules():
        compiled = type(part).__module__.startswith('mmcv.ops')
        if compiled and not name.startswith('roi_head.bbox_roi_extractor'):
            _refuse(f"{name} is MMCV's operator {type(part).__name__}, which ONNX does not have")


def check_classifier(model: nn.Module) -> None:
    """Refuse a classifier that cannot be exported.

    Raises:
        NotImplementedError: The message says why.
    """
    from mmpretrain.models import ClsDataPreprocessor
    from mmpretrain.models.heads import ClsHead

    head = type(model.head)
    if getattr(head, '_get_predictions', None) is not ClsHead._get_predictions:
        _refuse(f'its head is a {head.__name__}; heads that yield a softmax can be exported')
    if type(model.data_preprocessor) is not ClsDataPreprocessor:
        _refuse(f'its images are prepared by a {type(model.data_preprocessor).__name__}')


def _check_two_stages(model: nn.Module) -> None:
    _check_head(model.rpn_head, [RPNHead])
    _check_head(model.roi_head, [StandardRoIHead])
    _check_head(model.roi_head.bbox_head, BOX_HEADS)
    _check_head(model.roi_head.bbox_roi_extractor, [SingleRoIExtractor])
    if model.roi_head.with_mask or model.roi_head.with_shared_head:
        _refuse('its RoI head has masks, or layers that it shares with them')
    _check_suppression(model.test_cfg.rpn)
    _check_suppression(model.test_cfg.rcnn)


def _check_head(head: nn.Module, served: tuple | list) -> None:
    if type(head) not in served:
        names = ', '.join(kind.__name__ for kind in served)
        _refuse(f'its head is a {type(head).__name__}; {names} can be exported')
    if getattr(head, 'custom_cls_channels', False):
        _refuse(f'the {type(head).__name__} has class scores of its own')


def _check_suppression(cfg: ConfigDict) -> None:
    nms = cfg.get('nms') or {}
    unknown = nms.keys() - {'type', 'iou_threshold', 'split_thr'}
    if nms.get('type') != 'nms' or unknown:
        _refuse(
            f'test_cfg has nms={dict(nms)}; only dict(type="nms", iou_threshold=…) can be exported'
        )


def _refuse(reason: str) -> NoReturn:
    raise NotImplementedError(f'this student cannot be exported to ONNX: {reason}')
