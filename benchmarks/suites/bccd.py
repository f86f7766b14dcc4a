# BCCD for two CPU cores: small networks trained from scratch on trainval, tested on test. Set
# BCCD_ROOT to the folder of the data.
_base_ = './_base_/rows.py'
title = 'BCCD on a CPU'
seeds = [1, 2, 3]
half = '../../configs/retinanet/retinanet_r34-r18_bccd_k2'
quarter = '../../configs/retinanet/retinanet_r34-r18_bccd_k4'
rest = [*_base_.main[:-1], 'pkd', 'ours']
parts = [
    dict(title='RetinaNet, 320×240 → 160×120', recipe=half, rows=_base_.main),
    dict(title='RetinaNet, 320×240 → 160×120: one stage', recipe=half, rows=_base_.in_one_stage),
    dict(title='RetinaNet, 320×240 → 160×120: ablation', recipe=half, rows=_base_.ablation),
    dict(title='RetinaNet, 320×240 → 160×120: bytes and cells', recipe=half, rows=_base_.finer_k2),
    dict(title='RetinaNet, 320×240 → 80×60', recipe=quarter, rows=rest),
    dict(title='RetinaNet, 320×240 → 80×60: bytes and cells', recipe=quarter, rows=_base_.finer_k4),
    dict(
        title='Faster R-CNN, 320×240 → 160×120',
        recipe='../../configs/faster_rcnn/faster-rcnn_r34-r18_bccd_k2',
        rows=rest,
    ),
    dict(
        title='Faster R-CNN, 320×240 → 80×60',
        recipe='../../configs/faster_rcnn/faster-rcnn_r34-r18_bccd_k4',
        rows=rest,
    ),
]
