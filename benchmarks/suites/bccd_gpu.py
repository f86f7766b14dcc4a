# BCCD for a GPU: full networks with weights from ImageNet, trained on trainval, tested on test. Set
# BCCD_ROOT to the folder of the data, and make the recipes first, with K = 2 and 4:
#   python tools/make_recipe.py configs/retinanet/retinanet_r18_fpn_bccd640.py \
#       configs/retinanet/retinanet_r50_fpn_bccd640.py --ratio K \
#       --cells 1 --out configs/retinanet/retinanet_r50-r18_fpn_bccd640_kK
# and their variants for the rows `finer`, with the variant behind the folder's name: _k2_c2 and
# _k4_u2_c2 without --cells, _kK_uK by --enlarge K in its place.
# There is no one-stage row with head terms: the teacher's anchors are made for the large image, so
# they are not those of the student.
_base_ = './_base_/rows.py'
title = 'BCCD on a GPU'
seeds = [1, 2, 3]
rows = dict(
    msad=dict(
        options={
            'model.terms': dict(
                l1=dict(
                    student='neck[:4]', teacher='neck[1:]', loss=dict(type='L1Loss'), weight=5.0
                )
            )
        }
    )
)
# Not what is made of BCCD's thin networks on a CPU, and not 4×4 sub-cells, which are no default.
finer = {
    k: [row for row in rows if not row.startswith('thin') and 'cells_k4' not in row]
    for k, rows in ((2, _base_.finer_k2), (4, _base_.finer_k4))
}
in_one_stage = [*_base_.bounds, 'l2', 'cwd', 'pkd', 'msad', 'ours']
parts = [
    dict(
        title=f'RetinaNet, 640×480 → {size}{part}',
        recipe=f'../../configs/retinanet/retinanet_r50-r18_fpn_bccd640_k{k}',
        rows=names,
    )
    for k, size in ((2, '320×240'), (4, '160×120'))
    for part, names in (
        ('', _base_.main),
        (': one stage', in_one_stage),
        (': bytes and cells', finer[k]),
    )
]
