# MMDetection's VOC 2007 and 2012, at the folder that the variable VOC_ROOT names.
_base_ = 'mmdet::_base_/datasets/voc0712.py'
data_root = '{{$VOC_ROOT:data/VOCdevkit}}/'
data_hint = (
    'get PASCAL VOC 2007 and 2012 (host.robots.ox.ac.uk/pascal/VOC), and set the environment '
    'variable VOC_ROOT to the folder with VOC2007 and VOC2012'
)
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            datasets=[
                dict(
                    type='VOCDataset',
                    data_root=data_root,
                    ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                    data_prefix=dict(sub_data_root=f'VOC{year}/'),
                    filter_cfg=dict(filter_empty_gt=True, min_size=32, bbox_min_size=32),
                    pipeline={{_base_.train_pipeline}},
                )
                for year in (2007, 2012)
            ],
        )
    )
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
