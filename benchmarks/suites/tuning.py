# Two trials of weights for each method: short schedules on BCCD, trained on train, tested on val
# (never on test), with a seed that the suite bccd does not use. rows.py has the better weights.
_base_ = './_base_/rows.py'
title = 'BCCD: two trials a method'
seeds = [0]
options = {
    'train_dataloader.dataset.ann_file': 'ImageSets/Main/train.txt',
    'val_dataloader.dataset.ann_file': 'ImageSets/Main/val.txt',
    'test_dataloader.dataset.ann_file': 'ImageSets/Main/val.txt',
}
schedule = {
    'train_cfg.max_iters': 200,
    'param_scheduler.1.end': 200,
    'param_scheduler.1.T_max': 100,
}


def weighted(row, weights):
    """Return a row with other weights of its terms: ``weights`` is term -> weight."""
    options = {f'model.terms.{name}.weight': weight for name, weight in weights.items()}
    values = ', '.join(f'{weight:g}' for weight in dict.fromkeys(weights.values()))
    options = {**row.get('options', {}), **schedule, **options}
    return {**row, 'options': options, 'text': f'{row.text}, weight {values}'}


trials = dict(
    l2=[dict(l2=1), dict(l2=10)],
    cwd=[dict(cwd=2), dict(cwd=10)],
    pkd=[dict(pkd=2), dict(pkd=6)],
    heads=[dict(cls=1, box=1), dict(cls=2, box=2)],
    msad=[dict(l1=1), dict(l1=5)],
    ours=[dict(pkd=2, cls=1, box=1), dict(pkd=4, cls=2, box=2)],
)
rows = {
    f'{name}_{number}': weighted(_base_.rows[name], weights)
    for name, tries in trials.items()
    for number, weights in enumerate(tries, 1)
}
parts = [
    dict(
        title='RetinaNet, 320×240 → 160×120',
        recipe='../../configs/retinanet/retinanet_r34-r18_bccd_k2',
        rows=['teacher', 'teacher_shifted', 'assistant', *rows],
    ),
]
