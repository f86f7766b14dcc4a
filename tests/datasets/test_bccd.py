import os
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from pd_mmdet.datasets import BCCDDataset

XML = """<annotation><size><width>40</width><height>30</height></size>{}</annotation>"""
BOX = (
    '<object><name>{}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>'
    '<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>'
)


def test_boxes_without_area_are_dropped_and_named(tmp_path: Path):
    (tmp_path / 'Annotations').mkdir()
    boxes = BOX.format('RBC', 5, 6, 15, 16) + BOX.format('WBC', 9, 9, 9, 9)
    (tmp_path / 'Annotations' / 'one.xml').write_text(XML.format(boxes))
    (tmp_path / 'list.txt').write_text('one\n')
    MMLogger.get_instance('bccd', log_file=str(tmp_path / 'log'))

    dataset = BCCDDataset(
        data_root=str(tmp_path), ann_file='list.txt', data_prefix=dict(sub_data_root='')
    )

    (instance,) = dataset.get_data_info(0)['instances']
    assert instance['bbox'] == [4, 5, 14, 15] and instance['bbox_label'] == 0
    assert 'one.xml: dropped 1 box without area' in (tmp_path / 'log').read_text()


def test_the_real_data():
    root = Path(os.environ.get('BCCD_ROOT', 'data/bccd'))
    if not root.is_dir():
        pytest.skip(f'BCCD is not at {root}: set BCCD_ROOT')
    numbers = {}
    for split in ('trainval', 'test'):
        dataset = BCCDDataset(
            data_root=str(root),
            ann_file=f'ImageSets/Main/{split}.txt',
            data_prefix=dict(sub_data_root=''),
            test_mode=True,
        )
        numbers[split] = sum(
            len(dataset.get_data_info(i)['instances']) for i in range(len(dataset))
        )
    # 4888 boxes, of which two have no area.
    assert sum(numbers.values()) == 4886
