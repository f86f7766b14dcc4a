from collections.abc import Iterator

import pytest

from pd_mmdet.testing.zoo.chain import Stranger


@pytest.fixture(scope='module')
def stranger() -> Iterator[Stranger]:
    """A process that cannot import this package, for all tests of a file."""
    with Stranger() as process:
        yield process
