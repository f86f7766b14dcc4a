from .channel_wise_kl import ChannelWiseKLLoss
from .dense_head import DenseHeadBoxLoss, DenseHeadClsLoss, DenseHeadDistributionLoss
from .pearson import PearsonLoss

__all__ = [
    'ChannelWiseKLLoss',
    'DenseHeadBoxLoss',
    'DenseHeadClsLoss',
    'DenseHeadDistributionLoss',
    'PearsonLoss',
]
