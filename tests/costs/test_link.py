import cv2
import numpy as np
import torch

from pd_mmdet.costs.link import bytes_per_image


def dataset() -> list[dict]:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (16, 24, 3), np.uint8), np.zeros((16, 24, 3), np.uint8)]
    return [dict(inputs=torch.from_numpy(array).permute(2, 0, 1)) for array in arrays]


def test_mean_size_of_the_files(tmp_path):
    found = bytes_per_image(dataset(), [90, 10], number=5)
    for name, ending, options in (
        ('png', 'png', []),
        ('jpeg90', 'jpg', [cv2.IMWRITE_JPEG_QUALITY, 90]),
        ('jpeg10', 'jpg', [cv2.IMWRITE_JPEG_QUALITY, 10]),
    ):
        sizes = []
        for item in dataset():
            file = tmp_path / f'image.{ending}'
            cv2.imwrite(str(file), item['inputs'].permute(1, 2, 0).numpy(), options)
            sizes.append(file.stat().st_size)
        assert found[name] == sum(sizes) / 2
    assert found['jpeg10'] < found['jpeg90']


def test_images_are_evenly_spaced():
    (first, _) = data = dataset()
    assert bytes_per_image(data, [], 1) == bytes_per_image([first], [], 1)
