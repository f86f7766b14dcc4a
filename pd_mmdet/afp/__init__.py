"""AFP, aligned feature for preservation: detectors of different input size, outputs of one size."""

from ..prior_coverage import prior_coverage, suggest_priors
from .detector import AFPDetector
from .rescale import FeatureRescale

__all__ = [
    'AFPDetector',
    'FeatureRescale',
    'prior_coverage',
    'suggest_priors',
]
