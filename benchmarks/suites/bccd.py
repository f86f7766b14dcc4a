# BCCD for two CPU cores: small networks trained from scratch on trainval, tested on test. Set
# BCCD_ROOT to the folder of the data.
_base_ = './_base_/rows.py'
title = 'BCCD on a CPU'
seeds = [1, 2, 3]
retinanet = '../../configs/retinanet/retinanet_r34-r18_bccd_k2'
rest = [*_base_.main[:-1], 'pkd', 'ours']
parts = [
    dict(title='RetinaNet, 320×240 → 160×120', recipe=retinanet, rows=_base_.main),
    dict(
        title='RetinaNet, 320×240 → 160×120: one stage',
        recipe=retinanet,
        rows=_base_.in_one_stage,
    ),
    dict(title='RetinaNet, 320×240 → 160×120: ablation', recipe=retinanet, rows=_base_.ablation),
    dict(
        title='Faster R-CNN, 320×240 → 160×120',
        recipe='../../configs/faster_rcnn/faster-rcnn_r34-r18_bccd_k2',
        rows=rest,
    ),
    dict(
        title='RetinaNet, 320×240 → 80×60',
        recipe='../../configs/retinanet/retinanet_r34-r18_bccd_k4',
        rows=rest,
    ),
    dict(
        title='Faster R-CNN, 320×240 → 80×60',
        recipe='../../configs/faster_rcnn/faster-rcnn_r34-r18_bccd_k4',
        rows=rest,
    ),
]
