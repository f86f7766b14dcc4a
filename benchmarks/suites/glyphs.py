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
recipe = '../../configs/retinanet/retinanet_r34-r18_glyphs_k2'
bound = ['ceiling', 'baseline', 'baseline_long']
parts = [
    dict(
        title='RetinaNet, 160×160 → 80×80',
        recipe=recipe,
        rows=['teacher', 'ceiling', 'assistant', 'baseline', 'baseline_long', 'ours'],
    ),
    dict(
        title='RetinaNet, 160×160 → 80×80: one stage',
        recipe=recipe,
        rows=[*bound, 'l2', 'cwd', 'pkd', 'teacher_shifted', 'heads', 'msad', 'ours'],
    ),
    dict(
        title='RetinaNet, 160×160 → 80×80: ablation',
        recipe=recipe,
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
]
