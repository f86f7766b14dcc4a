import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset

from pd_mmdet.workbench.costs.image_bytes import bytes_per_image


def dataset() -> list[dict]:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (16, 24, 3), np.uint8), np.zeros((16, 24, 3), np.uint8)]
    return [dict(inputs=torch.from_numpy(array).permute(2, 0, 1)) for array in arrays]


def test_images_are_evenly_spaced():
    (first, _) = data = dataset()
    assert bytes_per_image(data, [], 1) == bytes_per_image([first], [], 1)


def test_an_enlarged_image_costs_what_the_small_one_costs():
    small, enlarged = noise((32, 48, 3)), noise((32, 48, 3), enlarge=4)
    assert bytes_per_image(enlarged, [90], 1) == bytes_per_image(small, [90], 1)
    assert enlarged[0]['inputs'].shape == (3, 32, 48)  # as it was
    # Also where the small image alone would be refused as too small.
    assert bytes_per_image(noise((16, 48, 3), enlarge=4), [], 1)['png'] < 300


def noise(shape: tuple[int, ...], **options: object) -> BaseDataset:
    low = dict(type='LowResolution', ratio=4, views=['lr'], min_side=8, **options)
    dataset = BaseDataset(lazy_init=True, pipeline=[low, dict(type='PackDetInputs', meta_keys=())])
    dataset.data_list = [dict(img=np.random.default_rng(0).integers(0, 256, shape, np.uint8))]
    dataset.serialize_data, dataset._fully_initialized = False, True
    return dataset


@pytest.mark.parametrize(
    ('dtype', 'factor', 'channels', 'formats'),
    [
        (np.uint8, 1, 1, ['png', 'jpeg90']),
        (np.float32, 1, 3, ['png', 'jpeg90']),  # the loader's to_float32
        (np.uint8, 1, 4, ['png']),
        (np.uint16, 257, 1, ['png']),
        (np.uint16, 257, 3, ['png']),
        (np.uint16, 257, 4, ['png']),
        (np.uint8, 1, 2, []),
        (np.uint8, 1, 7, []),
        (np.float32, 1 / 255, 3, []),
        (np.int16, 1, 1, []),
    ],
)
def test_none_for_what_a_format_cannot_hold(tmp_path, dtype, factor, channels, formats):
    rng = np.random.default_rng(0)
    image = (rng.integers(0, 256, (16, 24, channels)) * factor).astype(dtype)
    found = bytes_per_image([dict(inputs=torch.from_numpy(image).permute(2, 0, 1))], [90], 1)
    assert list(found) == ['png', 'jpeg90']
    assert [name for name, size in found.items() if size is not None] == formats
    for name in formats:
        file = tmp_path / f'image.{name.replace("eg90", "g")}'
        written = image if dtype == np.uint16 else image.astype(np.uint8)
        cv2.imwrite(str(file), written, [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert found[name] == file.stat().st_size
        # What such a file holds is, in PNG, the image.
        read = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert name != 'png' or (read.reshape(image.shape) == image).all()
