"""AFP (aligned feature for preservation): outputs of equal size for inputs of different sizes."""

from ..prior_coverage import prior_coverage, suggest_priors
from .detector import AFPDetector
from .rescale import FeatureRescale

__all__ = [
    'AFPDetector',
    'FeatureRescale',
    'prior_coverage',
    'suggest_priors',
]
