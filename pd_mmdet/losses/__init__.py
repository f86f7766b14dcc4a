from .at import ATLoss
from .base import DenseHeadLoss, FeatureLoss, LogitLoss, RoIHeadLoss
from .channel_wise_kl import ChannelWiseKLLoss
from .dense_head import DenseHeadBoxLoss, DenseHeadClsLoss, DenseHeadDistributionLoss
from .dkd import DKDLoss
from .ickd import ICKDLoss
from .kd import KDLoss
from .pearson import PearsonLoss
from .roi_head import RoIHeadBoxLoss, RoIHeadClsLoss
from .sp import SPLoss

__all__ = [
    'ATLoss',
    'ChannelWiseKLLoss',
    'DKDLoss',
    'DenseHeadBoxLoss',
    'DenseHeadClsLoss',
    'DenseHeadDistributionLoss',
    'DenseHeadLoss',
    'FeatureLoss',
    'ICKDLoss',
    'KDLoss',
    'LogitLoss',
    'PearsonLoss',
    'RoIHeadBoxLoss',
    'RoIHeadClsLoss',
    'RoIHeadLoss',
    'SPLoss',
]
