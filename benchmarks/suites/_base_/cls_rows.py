# The rows of the tables of classifiers. Each row trains a config of a recipe, with some options
# changed. Weights are those of the paper's own classification code (docs/classification.md).


def one_stage(text, student_weight=1.0, isrd=False, **terms):
    """Return a row in one stage: the student on the small image learns from the teacher at once.

    With ``isrd``, it has the recipe's weight.
    """
    options = {
        'model.student_weight': student_weight,
        'model.terms': dict(_delete_=True, **terms),
        **({} if isrd else {'model.isrd': None}),
    }
    return dict(config='one_stage', text=text, learns_from='teacher', options=options)


def logits(weight, loss, **options):
    return dict(
        student='head', teacher='head', loss=dict(type=loss, T=4.0, **options), weight=weight
    )


def features(weight, loss, student='backbone', teacher='backbone'):
    return dict(student=student, teacher=teacher, loss=dict(type=loss), weight=weight)


def knobs(k):
    """Return the rows that read the small image enlarged to the large one's size."""
    enlarged = dict(variant=f'_u{k}')
    return {
        f'enlarged_untrained_k{k}': dict(
            enlarged,
            config='baseline',
            text='H on the enlarged image, not trained for it',
            weights_of='ceiling',
        ),
        f'enlarged_k{k}': dict(enlarged, config='baseline', text='undistilled, enlarged image'),
        f'ours_enlarged_k{k}': dict(
            enlarged,
            config='student',
            text='**ours, enlarged image**',
            learns_from='assistant',
        ),
    }


kd = logits(0.9, 'KDLoss')
# At stride 8: at the end of the student's backbone a small image has one cell, and no attention.
at = features(1000.0, 'ATLoss', 'backbone.layer3', 'backbone.timm_model.blocks.2')

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
    kd=one_stage('KD', student_weight=0.1, kd=kd),
    dkd=one_stage('DKD', dkd=logits(1.0, 'DKDLoss', alpha=1.0, beta=8.0, warmup=200)),
    at=one_stage('AT', at=at),
    sp=one_stage('SP', sp=features(3000.0, 'SPLoss')),
    ickd=one_stage('ICKD', ickd=features(2.5, 'ICKDLoss')),
    isrd=one_stage('ISRD alone', isrd=True),
    kd_isrd=one_stage("KD and ISRD, the paper's", student_weight=0.1, isrd=True, kd=kd),
    tas=dict(
        config='student',
        text='**TAS: T → A → S, without ISRD**',
        learns_from='assistant',
        options={'model.isrd': None},
    ),
    ours=dict(config='student', text='**ours: TAS and ISRD**', learns_from='assistant'),
    **knobs(2),
    **knobs(4),
)

bounds = ['teacher', 'ceiling', 'assistant', 'baseline', 'baseline_long']
in_one_stage = ['kd', 'dkd', 'at', 'sp', 'ickd', 'isrd', 'kd_isrd']
ours = ['tas', 'ours']
