"""Small models and other things that tests share, and where the repository is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
