# BCCD: what takes a student with sub-cells to its assistant? Trained on train, tested on val (never
# on test), with a seed that the suite bccd does not use. All students learn from one assistant.
_base_ = './_base_/rows.py'
title = 'BCCD: the search for what is best'
seeds = [0]
options = {
    'train_dataloader.dataset.ann_file': 'ImageSets/Main/train.txt',
    'val_dataloader.dataset.ann_file': 'ImageSets/Main/val.txt',
    'test_dataloader.dataset.ann_file': 'ImageSets/Main/val.txt',
}


def tried(text, learns_from='assistant', **options):
    """Return a row of our method with some options changed."""
    return dict(_base_.rows.ours, text=text, learns_from=learns_from, options=options)


def first_stage(text, **options):
    """Return a row of the assistant with some options changed."""
    return dict(_base_.rows.assistant, text=text, options=options)


def iterations(number):
    """Return options of a training of so many iterations."""
    return {
        'train_cfg.max_iters': number,
        'param_scheduler.1.end': number,
        'param_scheduler.1.T_max': number - 100,
    }


# What A's head says of the student's maps, and of its own.
maps = dict(student='neck', teacher='bbox_head', weight=2.0)
crossed = {
    'model.terms.cross_cls': dict(maps, loss=dict(type='DenseHeadClsLoss')),
    'model.terms.cross_box': dict(maps, loss=dict(type='DenseHeadBoxLoss')),
}
heads_4 = {'model.terms.cls.weight': 4.0, 'model.terms.box.weight': 4.0}
no_heads = {'model.terms.cls': None, 'model.terms.box': None}
no_terms = {'model.terms': {'_delete_': True}}


isrd = dict(
    tries_isrd_5=tried('ISRD 5', **{'model.isrd.weight': 5.0}),
    tries_isrd_20=tried('ISRD 20', **{'model.isrd.weight': 20.0}),
    tries_isrd_layer1=tried('ISRD at layer1', **{'model.isrd.tap': 'backbone.layer1'}),
    tries_isrd_layer2=tried('ISRD at layer2', **{'model.isrd.tap': 'backbone.layer2'}),
    tries_isrd_alone=tried('ISRD alone', load_from=None, **no_terms),
    tries_isrd_alone_5=tried(
        'ISRD 5 alone', load_from=None, **no_terms, **{'model.isrd.weight': 5.0}
    ),
)
others = dict(
    tries_no_isrd=tried('without ISRD', **{'model.isrd': None}),
    tries_heads_4=tried('head terms 4', **heads_4),
    tries_cross_2=tried('CrossKD 2 for the head terms', **crossed, **no_heads),
    tries_no_pkd=tried('without the feature term', **{'model.terms.pkd': None}),
    tries_no_weights=tried("without A's weights", load_from=None),
    tries_twice=tried('twice as long', **iterations(1600)),
    tries_lr_1=tried('twice the learning rate', **{'optim_wrapper.optimizer.lr': 0.004}),
    # A's weights are a start from which smaller steps may do.
    tries_lr_2=tried('a quarter of the learning rate', **{'optim_wrapper.optimizer.lr': 0.0005}),
    assistant_no_heads=first_stage('assistant A, without head terms', **no_heads),
    tries_assistant_no_heads=tried('its student', learns_from='assistant_no_heads'),
    # A better T may be wanted first: it is no better than the student's network on the large image.
    teacher_long=dict(
        _base_.rows.teacher, text='teacher T, twice as long', options=iterations(1200)
    ),
    # The teacher's level of stride k·s meets the rescaled one of stride s.
    assistant_rescaled=first_stage(
        'assistant A, feature term after the rescale', **{'model.terms.pkd.student': 'neck.afp'}
    ),
    tries_assistant_rescaled=tried('its student', learns_from='assistant_rescaled'),
)
rows = {**others, **isrd}
parts = [
    dict(
        title='RetinaNet, 320×240 → 160×120, 2×2 sub-cells',
        recipe='../../configs/retinanet/retinanet_r34-r18_bccd_k2_c2',
        rows=['ceiling', 'teacher', 'assistant', 'baseline', 'ours', *others],
    ),
    dict(
        title='ISRD: RetinaNet, 320×240 → 160×120, 2×2 sub-cells',
        recipe='../../configs/retinanet/retinanet_r34-r18_bccd_k2_c2',
        rows=['baseline', 'ours', 'tries_no_isrd', *isrd],
    ),
]
