# What the stages compare: a student tap, a teacher tap, a loss and its weight a line.
assistant_terms = dict(
    pkd=dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0),
)
head_terms = dict(
    cls=dict(
        student='bbox_head', teacher='bbox_head', loss=dict(type='DenseHeadClsLoss'), weight=1.0
    ),
    box=dict(
        student='bbox_head', teacher='bbox_head', loss=dict(type='DenseHeadBoxLoss'), weight=1.0
    ),
)
student_terms = dict(
    pkd=dict(student='neck', teacher='neck.afp', loss=dict(type='PearsonLoss'), weight=2.0),
    **head_terms,
)
doubled_terms = {
    name: dict(term, weight=2 * term['weight']) for name, term in student_terms.items()
}
isrd = dict(weight=0.5)
