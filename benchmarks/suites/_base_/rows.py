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
    msad=one_stage(
        'MSAD: L1, levels shifted',
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
