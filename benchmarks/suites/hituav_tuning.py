# HIT-UAV: learning rates of the networks, and two trials of weights for each method, trained on
# train, tested on val (never on test), with a seed that the suite hituav does not use.
_base_ = './_base_/hituav_rows.py'
title = 'HIT-UAV: two trials a method'
seeds = [0]
root = '{{$HITUAV_ROOT:data/hituav}}/annotations/'
options = {
    # In the place of val: train counts twice, which changes nothing.
    'train_dataloader.dataset.datasets.1.ann_file': 'annotations/train.json',
    'val_dataloader.dataset.ann_file': 'annotations/val.json',
    'test_dataloader.dataset.ann_file': 'annotations/val.json',
    'val_evaluator.ann_file': root + 'val.json',
    'test_evaluator.ann_file': root + 'val.json',
}


def at(rate, row):
    """Return a row with another learning rate."""
    text = f'{row.text}, learning rate {rate:g}'
    return {**row, 'text': text, 'options': {'optim_wrapper.optimizer.lr': rate}}


def weighted(row, weights):
    """Return a row with other weights of its terms: ``weights`` is term -> weight."""
    options = {f'model.terms.{name}.weight': weight for name, weight in weights.items()}
    values = ', '.join(f'{weight:g}' for weight in dict.fromkeys(weights.values()))
    return {
        **row,
        'options': {**row.get('options', {}), **options},
        'text': f'{row.text}, weight {values}',
    }


rates = {
    f'{name}_{rate}': at(float(rate), _base_.rows[name])
    for name in ('ceiling', 'baseline')
    for rate in ('2e-4', '1e-3')
}
trials = dict(
    pkd=[dict(pkd=2), dict(pkd=6)],
    cwd=[dict(cwd=2), dict(cwd=10)],
    one_stage_cells_k2=[dict(pkd=2, cls=1, box=1), dict(pkd=4, cls=2, box=2)],
    ours_cells_k2=[dict(pkd=2, cls=1, box=1), dict(pkd=4, cls=2, box=2)],
)
weights = {
    f'{name}_{number}': weighted(_base_.rows[name], tries)
    for name in trials
    for number, tries in enumerate(trials[name], 1)
}
rows = {**rates, **weights}
parts = [
    dict(
        title='ATSS, 320×256 → 160×128',
        recipe='../../configs/atss/atss_efficientnet-lite2-mobilenet-v2_hituav_k2',
        rows=[
            'ceiling',
            'baseline',
            *rates,
            'teacher',
            'cells_k2',
            'assistant_cells_k2',
            *weights,
            'enlarged_k2',
            'thin20_k2',
            'thin20_ours_k2',
        ],
    ),
]
