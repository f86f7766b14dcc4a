import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for `dense_heads`, what these tests share
