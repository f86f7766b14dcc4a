# HIT-UAV for two CPU cores: thermal images from a drone, networks with ImageNet's weights, trained
# on train and val, tested on test; the three are split by scene. Set HITUAV_ROOT to the folder of
# the data, and MOBILENET_V2 and EFFICIENTNET_LITE2 to files of weights (configs/atss/README.md).
_base_ = './_base_/hituav_rows.py'
title = 'HIT-UAV on a CPU'
seeds = [1, 2, 3]
parts = [
    dict(
        title=f'ATSS, 320×256 → {size}',
        recipe=f'../../configs/atss/atss_efficientnet-lite2-mobilenet-v2_hituav_k{k}',
        rows=[
            *_base_.main[:-1],
            'pkd',
            'cwd',
            *(row for row in rows[rows.index('ours') :] if not row.startswith('thin')),
            f'thin16_k{k}',
            f'thin16_ours_k{k}',
        ],
    )
    for k, size, rows in ((2, '160×128', _base_.finer_k2), (4, '80×64', _base_.finer_k4))
]
parts.append(
    dict(
        title='Faster R-CNN, 320×256 → 160×128',
        recipe='../../configs/faster_rcnn/faster-rcnn_efficientnet-lite2-mobilenet-v2_hituav_k2',
        rows=[
            *_base_.main[:-1],
            'pkd',
            'ours',
            'enlarged_untrained_k2',
            'enlarged_k2',
            'assistant_enlarged_k2',
            'ours_enlarged_k2',
        ],
    )
)
