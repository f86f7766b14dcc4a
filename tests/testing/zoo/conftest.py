from collections.abc import Iterator

import pytest

from pd_mmdet.testing.zoo.chain import StockProcess


@pytest.fixture(scope='module')
def stock() -> Iterator[StockProcess]:
    """A process that cannot import this package, for all tests of a file."""
    with StockProcess() as process:
        yield process
