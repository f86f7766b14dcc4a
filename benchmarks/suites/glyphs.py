# The rows of bccd with the data and network of the quickstart, short schedules and one seed. It
# shows the effect of an idea in minutes (--rows ours). Set GLYPHS_ROOT to the folder of the data.
# For the rows finer_k2 of rows.py (all but the thin network) the recipes are made by
#   python tools/make_recipe.py configs/retinanet/retinanet_r34-r18_glyphs_k2/ceiling.py \
#       configs/retinanet/retinanet_r34-r18_glyphs_k2/teacher.py --ratio 2 --cells 2 \
#       --out configs/retinanet/retinanet_r34-r18_glyphs_k2_c2
# and the same with --enlarge 2 and _u2.
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
