import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import pseudo_collate

from pd_mmdet.transforms import LowResolution, PackPairedDetInputs


def results(width=90, channels=(3,), dtype=np.uint8):
    img = np.random.RandomState(width).randint(0, 256, (61, width, *channels)).astype(dtype)
    return dict(
        img=img,
        img_id=width,
        img_path='a.jpg',
        img_shape=img.shape[:2],
        ori_shape=img.shape[:2],
        gt_bboxes=HorizontalBoxes(torch.tensor([[4.0, 8.0, 30.0, 50.0], [1.0, 1.0, 9.0, 9.0]])),
        gt_bboxes_labels=np.array([3, 1]),
        gt_ignore_flags=np.array([False, True]),
    )


def assert_same(packed, expected):
    torch.testing.assert_close(packed['inputs'], expected['inputs'], rtol=0, atol=0)
    found, wanted = packed['data_samples'], expected['data_samples']
    assert found.metainfo == wanted.metainfo
    for name in ('gt_instances', 'ignored_instances'):
        assert torch.equal(found.get(name).bboxes.tensor, wanted.get(name).bboxes.tensor)
        assert torch.equal(found.get(name).labels, wanted.get(name).labels)


@pytest.mark.parametrize('channels', [(), (1,), (2,), (3,), (4,), (7,)])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_both_views_are_packed_with_the_annotations_of_the_small_one(channels, dtype):
    packed = PackPairedDetInputs()(LowResolution(1.5)(results(90, channels, dtype)))
    assert set(packed) == {'inputs', 'data_samples'}
    large, small = (
        PackDetInputs()(LowResolution(1.5, views=[view])(results(90, channels, dtype)))
        for view in ('hr', 'lr')
    )
    assert_same(dict(packed, inputs=packed['inputs']['lr']), small)
    torch.testing.assert_close(packed['inputs']['hr'], large['inputs'], rtol=0, atol=0)


def test_one_view_is_packed_flat():
    lr = LowResolution(2, views=['lr'])
    assert_same(PackPairedDetInputs()(lr(results())), PackDetInputs()(lr(results())))


def test_meta_keys():
    pack = TRANSFORMS.build(dict(type='PackPairedDetInputs', meta_keys=('img_id', 'img_shape')))
    packed = pack(LowResolution(2)(results()))
    assert packed['data_samples'].metainfo == dict(img_id=90, img_shape=(31, 45))
    assert repr(pack) == "PackPairedDetInputs(meta_keys=('img_id', 'img_shape'))"


def test_batches_are_dicts_of_lists():
    batch = pseudo_collate(
        [PackPairedDetInputs()(LowResolution(2)(results(width))) for width in (90, 76)]
    )
    assert [tuple(img.shape) for img in batch['inputs']['hr']] == [(3, 62, 90), (3, 62, 76)]
    assert [tuple(img.shape) for img in batch['inputs']['lr']] == [(3, 31, 45), (3, 31, 38)]
    assert [sample.img_shape for sample in batch['data_samples']] == [(31, 45), (31, 38)]
