# DeepWeeds, for two CPU cores or a GPU: networks with ImageNet's weights, trained on train, tested
# on test. Set DEEPWEEDS_ROOT to the folder of the data, and MOBILENET_V2 and EFFICIENTNET_LITE2 to
# files of weights (configs/atss/README.md).
_base_ = './_base_/cls_rows.py'
title = 'DeepWeeds'
seeds = [1, 2, 3]


def in_bfloat16(row):
    """Return a row whose teacher runs in bfloat16, which is faster (docs/training.md)."""
    options = {**row.get('options', {}), 'model.teacher.dtype': 'bfloat16'}
    return {**row, 'options': options} if 'learns_from' in row else row


rows = {
    '_delete_': True,  # MMEngine would merge rows of one name
    **{name: in_bfloat16(row) for name, row in _base_.rows.items()},
}
parts = [
    dict(
        title=f'MobileNetV2, 128×128 → {size}',
        recipe=f'../../configs/mobilenet_v2/efficientnet-lite2-mobilenet-v2_deepweeds_k{k}',
        rows=[
            *_base_.bounds,
            *_base_.in_one_stage,
            *_base_.ours,
            f'enlarged_untrained_k{k}',
            f'enlarged_k{k}',
            f'ours_enlarged_k{k}',
        ],
    )
    for k, size in ((2, '64×64'), (4, '32×32'))
]
