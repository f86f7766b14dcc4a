# The rows of the tables. Each row trains a config of a recipe, with some options changed.


def one_stage(text, **terms):
    """Return a row of one-stage distillation: the student learns directly from the teacher.

    The teacher's level of stride k·s matches the student's level of stride s.
    """
    options = {'model.isrd': None, 'model.terms': dict(_delete_=True, **terms)}
    return dict(config='one_stage', text=text, learns_from='teacher', options=options)


def without(text, **options):
    """Return a row of our method (``ours``) with one part changed or removed."""
    return dict(config='student', text=text, learns_from='assistant', options=options)


def pyramid(loss, weight):
    return dict(student='neck', teacher='neck', loss=dict(type=loss), weight=weight)


def ours(name, variant, text):
    """Return the assistant and the student of our method with other knobs."""
    return {
        f'assistant_{name}': dict(
            config='assistant',
            variant=variant,
            text=f'A, large image, for {text}',
            learns_from='teacher',
        ),
        f'ours_{name}': dict(
            config='student',
            variant=variant,
            text=f'**ours, {text}**',
            learns_from=f'assistant_{name}',
        ),
    }


def thinner(model, width, behind):
    """Return options of a RetinaNet: channels of its first stage, and of neck and head."""
    return {
        f'{model}.backbone.stem_channels': width,
        f'{model}.backbone.base_channels': width,
        f'{model}.neck.in_channels': [width, 2 * width, 4 * width],
        f'{model}.neck.out_channels': behind,
        f'{model}.bbox_head.in_channels': behind,
        f'{model}.bbox_head.feat_channels': behind,
    }


def knobs(k):
    """Return the rows that spend bytes and compute otherwise, for images at 1/k.

    Enlarged, the student reads the small image as large as the large one (u = k): the bytes of the
    small one, the compute of the large one. With sub-cells (c = k) its head has as many priors as
    one on the large image. Both have the teacher's priors.
    """
    enlarged, cells = f'_u{k}', f'_c{k}'
    return {
        f'enlarged_untrained_k{k}': dict(
            config='baseline',
            variant=enlarged,
            text='H on the enlarged image, not trained for it',
            weights_of='ceiling',
        ),
        f'enlarged_k{k}': dict(
            config='baseline', variant=enlarged, text='undistilled, enlarged image'
        ),
        f'cells_k{k}': dict(
            config='baseline', variant=cells, text=f'undistilled, {k}×{k} sub-cells'
        ),
        **ours(f'cells_k{k}', cells, f'{k}×{k} sub-cells'),
        f'one_stage_cells_k{k}': dict(
            config='one_stage',
            variant=cells,
            text=f'features, heads and ISRD in one stage, {k}×{k} sub-cells',
            learns_from='teacher',
        ),
        **ours(f'enlarged_k{k}', enlarged, 'enlarged image'),
    }


def thin(k, width, behind):
    """Return the rows of a thinner network on the enlarged image, undistilled and distilled."""
    enlarged = dict(variant=f'_u{k}')
    network = f'thin network, {width} channels, enlarged image'
    return {
        f'thin{width}_k{k}': dict(
            enlarged,
            config='baseline',
            text=f'undistilled {network}',
            options=thinner('model', width, behind),
        ),
        f'thin{width}_ours_k{k}': dict(
            enlarged,
            config='one_stage',
            text=f'**ours, {network}: T → S**',
            learns_from='teacher',
            options=thinner('model.student', width, behind),
        ),
    }


nothing = {'model.isrd': None, 'model.terms': dict(_delete_=True)}

rows = dict(
    # All seeds share one teacher, as a user has one teacher.
    teacher=dict(config='teacher', text='teacher T, large image', once=True),
    ceiling=dict(config='ceiling', text="H: the student's network, large image"),
    assistant=dict(config='assistant', text='assistant A, large image', learns_from='teacher'),
    baseline=dict(config='baseline', text='undistilled'),
    baseline_long=dict(
        config='baseline',
        text='undistilled, as long as T, A and S',
        as_long_as=['teacher', 'assistant', 'ours'],
    ),
    ours=dict(config='student', text='**ours: T → A → S**', learns_from='assistant'),
    # The weights of these terms are the better of two, see tuning.py.
    l2=one_stage('FitNet, L2', l2=pyramid('MSELoss', 1.0)),
    cwd=one_stage('CWD', cwd=pyramid('ChannelWiseKLLoss', 2.0)),
    pkd=one_stage('PKD', pkd=pyramid('PearsonLoss', 2.0)),
    # Named after a paper that shifts levels, too, and does more: see docs/benchmark.md.
    msad=one_stage(
        'L1, levels shifted',
        l1=dict(student='neck[:2]', teacher='neck[1:]', loss=dict(type='L1Loss'), weight=5.0),
    ),
    # Heads can be compared if the teacher has the student's anchors, shifted by one level.
    teacher_shifted=dict(
        config='teacher_shifted', text='teacher of the head terms, large image', once=True
    ),
    heads=dict(
        config='one_stage_heads', text='head terms, levels shifted', learns_from='teacher_shifted'
    ),
    no_heads=without(
        'ours without head terms', **{'model.terms.cls': None, 'model.terms.box': None}
    ),
    no_features=without('ours without feature terms', **{'model.terms.pkd': None}),
    no_isrd=without('ours without ISRD', **{'model.isrd': None}),
    no_weights=without("ours without A's weights", load_from=None),
    only_weights=without("A's weights, nothing distilled", **nothing),
    assistant_centred=dict(
        config='assistant',
        text='assistant A, centred kernel',
        learns_from='teacher',
        options={'model.student.kernel': 'centred'},
    ),
    centred=dict(
        config='student',
        text='ours with the centred kernel',
        learns_from='assistant_centred',
        options={'model.teacher.cfg.kernel': 'centred'},
    ),
    **knobs(2),
    **knobs(4),
    u2_c2=dict(
        config='baseline',
        variant='_u2_c2',
        text='undistilled, enlarged to half, 2×2 sub-cells',
    ),
    **ours('u2_c2', '_u2_c2', 'enlarged to half, 2×2 sub-cells'),
    # BCCD's RetinaNet, so thin that it costs on 320×240 pixels what the students cost: 0.115 GFLOPs
    # (the one on 160×120: 0.113), 0.169 (with 2×2 sub-cells: 0.174), 0.057 and 0.029 (the one on
    # 80×60: 0.028).
    **thin(2, width=8, behind=13),
    **thin(2, width=10, behind=17),
    **thin(4, width=10, behind=17),
    **thin(4, width=5, behind=8),
    **thin(4, width=3, behind=5),
)

# Lists of rows that several suites use.
main = ['teacher', 'ceiling', 'assistant', 'baseline', 'baseline_long', 'ours']
bounds = ['ceiling', 'baseline', 'baseline_long']
in_one_stage = [*bounds, 'l2', 'cwd', 'pkd', 'teacher_shifted', 'heads', 'msad', 'ours']
ablation = [
    *bounds,
    'ours',
    'no_heads',
    'no_features',
    'no_isrd',
    'no_weights',
    'only_weights',
    'assistant',
    'assistant_centred',
    'centred',
]
finer_k2 = [
    'teacher',
    *bounds,
    'ours',
    'enlarged_untrained_k2',
    'enlarged_k2',
    'cells_k2',
    'assistant_cells_k2',
    'ours_cells_k2',
    'one_stage_cells_k2',
    'assistant_enlarged_k2',
    'ours_enlarged_k2',
    'thin8_k2',
    'thin8_ours_k2',
    'thin10_k2',
    'thin10_ours_k2',
]
finer_k4 = [
    *(name.replace('_k2', '_k4') for name in finer_k2 if not name.startswith('thin')),
    'u2_c2',
    'assistant_u2_c2',
    'ours_u2_c2',
    'thin10_k4',
    'thin10_ours_k4',
    'thin5_k4',
    'thin5_ours_k4',
    'thin3_k4',
    'thin3_ours_k4',
]
