import pytest

from pd_mmdet.testing.zoo.configs import (
    ROOT,
    annotations_of,
    find_configs,
    light,
    parts,
    read_config,
    representatives,
)


def test_configs_are_files_that_inherit_from_bases():
    names = find_configs()
    assert 'atss/atss_r50_fpn_1x_coco.py' in names
    assert not [name for name in names if name.startswith('_base_')]
    assert all((ROOT / name).is_file() for name in names)


def test_a_config_may_be_a_file_of_the_users(tmp_path):
    (tmp_path / 'mine.py').write_text('model = dict(type="ATSS")')
    assert read_config(str(tmp_path / 'mine.py')).model.type == 'ATSS'


def test_parts_by_hand():
    cascade = read_config('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py').model
    assert parts(cascade) == (
        'CascadeRCNN',
        'AnchorGenerator',
        'CascadeRoIHead',
        'DeltaXYWHBBoxCoder',
        'FCNMaskHead',
        'FPN',
        'MaxIoUAssigner',
        'RPNHead',
        'RoIAlign',
        'Shared2FCBBoxHead',
        'SingleRoIExtractor',
    )
    libra = parts(read_config('libra_rcnn/libra-retinanet_r50_fpn_1x_coco.py').model)
    assert {'FPN', 'BFP'} < set(libra)  # necks in a row


def test_the_plainest_config_stands_for_all_of_its_parts():
    combinations = {
        'dsdl/coco.py': ('A', 'B'),
        'a/a_r101_fpn_1x_coco.py': ('A', 'B'),
        'a/a_r50_fpn_1x_coco.py': ('A', 'B'),
        'a/a_r50_fpn_gn-head_1x_coco.py': ('A', 'B'),
        'c/c_r50.py': ('A', 'C'),
    }
    same = sorted(name for name, own in combinations.items() if own == ('A', 'B'))
    assert representatives(combinations) == {
        'a/a_r50_fpn_1x_coco.py': same,
        'c/c_r50.py': ['c/c_r50.py'],
    }


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('atss/atss_r50_fpn_1x_coco.py', (80, None, False, False, False)),
        ('pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py', (20, None, False, False, False)),
        ('mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', (80, 'bitmap', False, False, False)),
        ('rtmdet/rtmdet-ins_s_8xb32-300e_coco.py', (80, 'polygon', False, False, False)),
        ('htc/htc_r50_fpn_1x_coco.py', (80, 'bitmap', True, False, False)),
        ('panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py', (80, 'bitmap', True, False, False)),
        ('fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', (80, None, False, True, False)),
        ('boxinst/boxinst_r50_fpn_ms-90k_coco.py', (80, 'bitmap', False, False, True)),
    ],
)
def test_annotations_are_those_of_the_training_pipeline(name, expected):
    assert annotations_of(read_config(name)) == expected


def test_light_changes_no_part():
    for name in ('htc/htc_r50_fpn_1x_coco.py', 'solo/solo_r50_fpn_1x_coco.py'):
        cfg = read_config(name).model
        before = cfg.to_dict()
        lighter = light(cfg)
        assert cfg.to_dict() == before
        assert parts(lighter) == parts(cfg)
        assert lighter != cfg
