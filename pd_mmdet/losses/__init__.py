from .channel_wise_kl import ChannelWiseKLLoss
from .dense_head import DenseHeadBoxLoss, DenseHeadClsLoss, DenseHeadDistributionLoss
from .pearson import PearsonLoss
from .roi_head import RoIHeadBoxLoss, RoIHeadClsLoss

__all__ = [
    'ChannelWiseKLLoss',
    'DenseHeadBoxLoss',
    'DenseHeadClsLoss',
    'DenseHeadDistributionLoss',
    'PearsonLoss',
    'RoIHeadBoxLoss',
    'RoIHeadClsLoss',
]
