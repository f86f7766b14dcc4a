# What the teacher's own head says, taught to the student at once, to compare with.
_base_ = './student.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r34-r18_bccd_k2/teacher_shifted/iter_600.pth}}'
)
load_from = None
model = dict(
    teacher=dict(
        _delete_=True,
        cfg='{{ fileDirname }}/teacher_shifted.py',
        checkpoint=teacher_checkpoint,
    ),
    terms=dict(
        _delete_=True,
        cls=dict(
            student='bbox_head',
            teacher='bbox_head',
            loss=dict(type='DenseHeadClsLoss'),
            weight=2.0,
        ),
        box=dict(
            student='bbox_head',
            teacher='bbox_head',
            loss=dict(type='DenseHeadBoxLoss'),
            weight=2.0,
        ),
    ),
    isrd=None,
)
