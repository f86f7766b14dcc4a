# DeepWeeds: two trials for each method at k = 4, trained on train, tested on val (never on test),
# with a seed that the suite deepweeds does not use. The first trial is the suite's row, but all
# train for 10 epochs; then some train for 30, as the suite's students do.
_base_ = './_base_/cls_rows.py'
title = 'DeepWeeds: two trials a method'
seeds = [0]
options = {
    'val_dataloader.dataset.data_prefix': 'val',
    'test_dataloader.dataset.data_prefix': 'val',
}


def second(row, text, **changes):
    """Return a row's second trial, with some options changed."""
    return {**row, 'options': {**row.get('options', {}), **changes}, 'text': f'{row.text}, {text}'}


def labels(row):
    """Return a row whose student's own loss is not scaled down."""
    whole = {'model.student_weight': 1.0, 'model.terms.kd.weight': 1.0}
    return second(row, 'student weight 1, KD 1', **whole)


def lighter(row, term):
    """Return a row with a tenth of the weight of its term."""
    weight = row.options['model.terms'][term].weight / 10
    return second(row, f'weight {weight:g}', **{f'model.terms.{term}.weight': weight})


def epochs(row, number):
    """Return a row that trains for so many epochs."""
    length = {
        'train_cfg.max_epochs': number,
        'train_cfg.val_interval': number,
        'param_scheduler.1.end': number,
        'param_scheduler.1.T_max': number - 1,
    }
    return {**row, 'options': {**row.get('options', {}), **length}}


students = ('baseline', *_base_.in_one_stage, *_base_.ours)
short = {name: epochs(_base_.rows[name], 10) for name in students}
rates = {
    f'{name}_2': second(
        _base_.rows[name], 'learning rate 0.001', **{'optim_wrapper.optimizer.lr': 0.001}
    )
    for name in ('teacher', 'ceiling', 'baseline')
}
trials = dict(
    kd_2=labels(_base_.rows.kd),
    dkd_2=lighter(_base_.rows.dkd, 'dkd'),
    at_2=lighter(_base_.rows['at'], 'at'),
    sp_2=lighter(_base_.rows.sp, 'sp'),
    ickd_2=lighter(_base_.rows.ickd, 'ickd'),
    isrd_2=second(_base_.rows.isrd, 'weight 1', **{'model.isrd.weight': 1.0}),
    kd_isrd_2=labels(_base_.rows.kd_isrd),
    tas_2=labels(_base_.rows.tas),
    ours_2=labels(_base_.rows.ours),
)
isrd = dict(
    isrd_10=second(_base_.rows.isrd, 'weight 10', **{'model.isrd.weight': 10.0}),
    isrd_layer2=second(_base_.rows.isrd, 'at layer2', **{'model.isrd.tap': 'backbone.layer2'}),
    isrd_layer4=second(_base_.rows.isrd, 'at layer4', **{'model.isrd.tap': 'backbone.layer4'}),
    ours_isrd_5=second(_base_.rows.ours, 'weight 5', **{'model.isrd.weight': 5.0}),
)
lengths = {
    f'{name}_30': {**_base_.rows[name], 'text': f'{_base_.rows[name].text}, 30 epochs'}
    for name in ('baseline', 'kd', 'tas')
}
tried = {**rates, **trials, **isrd}
rows = {
    '_delete_': True,  # MMEngine would merge rows of one name
    **_base_.rows,
    **short,
    **{name: epochs(row, 10) for name, row in tried.items()},
    **lengths,
}
parts = [
    dict(
        title='MobileNetV2, 128×128 → 32×32',
        recipe='../../configs/mobilenet_v2/efficientnet-lite2-mobilenet-v2_deepweeds_k4',
        rows=[
            'teacher',
            'ceiling',
            'assistant',
            'baseline',
            *rates,
            *_base_.in_one_stage,
            *_base_.ours,
            *trials,
        ],
    ),
    dict(
        title='ISRD: MobileNetV2, 128×128 → 32×32',
        recipe='../../configs/mobilenet_v2/efficientnet-lite2-mobilenet-v2_deepweeds_k4',
        rows=['baseline', 'isrd', 'isrd_2', 'tas', 'ours', *isrd],
    ),
    dict(
        title='Three times as long: MobileNetV2, 128×128 → 32×32',
        recipe='../../configs/mobilenet_v2/efficientnet-lite2-mobilenet-v2_deepweeds_k4',
        rows=['ceiling', 'baseline', 'kd', 'tas', *lengths],
    ),
]
