import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate

pytest.importorskip('mmpretrain')

from mmpretrain.datasets.transforms import PackInputs  # noqa: E402
from mmpretrain.registry import TRANSFORMS  # noqa: E402

from pd_mmdet.classification import PackPairedInputs  # noqa: E402
from pd_mmdet.transforms import LowResolution  # noqa: E402


def results(seed=0, **extra):
    img = np.random.RandomState(seed).randint(0, 256, (61, 90, 3), dtype=np.uint8)
    return dict(
        img=img,
        img_path='a.jpg',
        img_shape=img.shape,  # as MMPretrain's crops leave it
        sample_idx=seed,
        gt_label=3,
        gt_score=np.array([0.25, 0.75], dtype=np.float32),
        **extra,
    )


def assert_same(packed, expected):
    assert torch.equal(packed['inputs'], expected['inputs'])
    found, wanted = packed['data_samples'], expected['data_samples']
    assert found.metainfo == wanted.metainfo
    assert torch.equal(found.gt_label, wanted.gt_label)
    assert torch.equal(found.gt_score, wanted.gt_score)


@pytest.mark.parametrize('grey', [False, True])
def test_both_views_are_packed_with_the_annotations_of_the_small_one(grey):
    def photograph():
        return results() | (dict(img=results()['img'][..., 0]) if grey else {})

    packed = PackPairedInputs()(LowResolution(1.5)(photograph()))
    assert set(packed) == {'inputs', 'data_samples'}
    large, small = (
        PackInputs()(LowResolution(1.5, views=[view])(photograph())) for view in ('hr', 'lr')
    )
    assert_same(dict(packed, inputs=packed['inputs']['lr']), small)
    assert torch.equal(packed['inputs']['hr'], large['inputs'])
    assert packed['data_samples'].img_shape == (42, 60)


def test_one_view_is_packed_flat():
    lr = LowResolution(2, views=['lr'])
    assert_same(PackPairedInputs()(lr(results())), PackInputs()(lr(results())))


def test_options_are_those_of_the_stock_transform():
    options = dict(algorithm_keys=('gt_label_difficult',), meta_keys=('sample_idx',))
    pack = TRANSFORMS.build(dict(type='PackPairedInputs', **options))
    packed = pack(LowResolution(2)(results(gt_label_difficult=[1])))
    sample = packed['data_samples']
    assert sample.gt_label_difficult == [1] and sample.sample_idx == 0
    assert 'img_path' not in sample
    assert repr(pack) == repr(PackInputs(**options)).replace('PackInputs', 'PackPairedInputs')
    with pytest.raises(TypeError, match='meta_key'):
        TRANSFORMS.build(dict(type='PackPairedInputs', meta_key=()))


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_batches_are_dicts(collate):
    batch = collate([PackPairedInputs()(LowResolution(2)(results(seed))) for seed in range(3)])
    for view, shape in dict(hr=(3, 62, 90), lr=(3, 31, 45)).items():
        assert [tuple(img.shape) for img in batch['inputs'][view]] == [shape] * 3
    assert [sample.sample_idx for sample in batch['data_samples']] == [0, 1, 2]
