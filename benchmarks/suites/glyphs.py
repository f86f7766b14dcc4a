# The rows of bccd on the quickstart's data and network, short, with one seed: what an idea changes
# is seen in minutes, --rows ours. Name the data in GLYPHS_ROOT.
_base_ = './_base_/rows.py'
title = 'Glyphs, short schedules'
seeds = [1]
iterations = 400
options = {
    'train_cfg.max_iters': iterations,
    'train_cfg.val_interval': iterations,
    'param_scheduler.1.end': iterations,
    'param_scheduler.1.T_max': iterations - 100,
}
parts = [
    dict(
        title=f'RetinaNet, 160×160 → 80×80{about}',
        recipe='../../configs/retinanet/retinanet_r34-r18_glyphs_k2',
        rows=names,
    )
    for about, names in (
        ('', _base_.main),
        (': one stage', _base_.in_one_stage),
        (': ablation', _base_.ablation),
    )
]
