# VOC with MMDetection's schedules, for a machine with GPUs. Set VOC_ROOT to the folder of the data.
_base_ = './bccd_gpu.py'
title = 'VOC'
seeds = [1]
parts = [
    dict(
        title=f'{name}, R50 → R18, 1000×600 → 1/{k}{part}',
        recipe=f'../../configs/{folder}/{folder.replace("_", "-")}_r50-r18_fpn_1x_voc0712_k{k}',
        rows=rows,
    )
    for folder, name in (('retinanet', 'RetinaNet'), ('faster_rcnn', 'Faster R-CNN'))
    for k in (2, 4)
    for part, rows in (
        ('', _base_.main),
        (': one stage', _base_.in_one_stage),
        (': bytes and cells', _base_.finer[k]),
    )
    if folder == 'retinanet' or 'bytes' not in part
]
