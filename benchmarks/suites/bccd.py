# BCCD for two CPU cores: slim networks from scratch, trainval -> test. Name the data in BCCD_ROOT.
_base_ = './_base_/rows.py'
title = 'BCCD on a CPU'
seeds = [1, 2, 3]
main = ['teacher', 'ceiling', 'assistant', 'baseline', 'baseline_long', 'ours']
retinanet = '../../configs/retinanet/retinanet_r34-r18_bccd_k2'
faster_rcnn = '../../configs/faster_rcnn/faster-rcnn_r34-r18_bccd_k2'
bound = ['ceiling', 'baseline', 'baseline_long']
parts = [
    dict(title='RetinaNet, 320×240 → 160×120', recipe=retinanet, rows=main),
    dict(
        title='RetinaNet, 320×240 → 160×120: one stage',
        recipe=retinanet,
        rows=[*bound, 'l2', 'cwd', 'pkd', 'teacher_shifted', 'heads', 'msad', 'ours'],
    ),
    dict(
        title='RetinaNet, 320×240 → 160×120: ablation',
        recipe=retinanet,
        rows=[
            *bound,
            'ours',
            'no_heads',
            'no_features',
            'no_isrd',
            'no_weights',
            'only_weights',
            'assistant',
            'assistant_centred',
            'centred',
        ],
    ),
    dict(
        title='Faster R-CNN, 320×240 → 160×120',
        recipe=faster_rcnn,
        rows=[*main[:-1], 'pkd', 'ours'],
    ),
    dict(
        title='RetinaNet, 320×240 → 80×60',
        recipe='../../configs/retinanet/retinanet_r34-r18_bccd_k4',
        rows=[*main[:-1], 'pkd', 'ours'],
    ),
    dict(
        title='Faster R-CNN, 320×240 → 80×60',
        recipe='../../configs/faster_rcnn/faster-rcnn_r34-r18_bccd_k4',
        rows=[*main[:-1], 'pkd', 'ours'],
    ),
]
