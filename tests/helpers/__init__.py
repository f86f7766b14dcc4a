"""What tests share: small models, and where the repository is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
