# DeepWeeds, for two CPU cores or a GPU: networks with ImageNet's weights, trained on train, tested
# on test. Set DEEPWEEDS_ROOT to the folder of the data, and MOBILENET_V2 and EFFICIENTNET_LITE2 to
# files of weights (configs/atss/README.md).
_base_ = './_base_/cls_rows.py'
title = 'DeepWeeds'
seeds = [0, 1, 2, 3]


# Better than the first trial on the validation images (the suite deepweeds_tuning).
better = {
    'dkd': {'model.terms.dkd.weight': 0.1},
    'sp': {'model.terms.sp.weight': 300.0},
}


def chosen(name, row):
    """Return a row with its better weight, and a teacher in bfloat16: faster (docs/training.md)."""
    dtype = {'model.teacher.dtype': 'bfloat16'} if 'learns_from' in row else {}
    return {**row, 'options': {**row.get('options', {}), **better.get(name, {}), **dtype}}


rows = {
    '_delete_': True,  # MMEngine would merge rows of one name
    **{name: chosen(name, row) for name, row in _base_.rows.items()},
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
