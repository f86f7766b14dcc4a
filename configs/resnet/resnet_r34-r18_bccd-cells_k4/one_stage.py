# Teacher on the large image -> student on the small one at once, to compare with.
_base_ = './student.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/resnet_r34-r18_bccd-cells_k4/teacher/epoch_5.pth}}'
)
load_from = None
model = dict(
    teacher=dict(_delete_=True, cfg='{{ fileDirname }}/teacher.py', checkpoint=teacher_checkpoint),
    terms=dict(
        _delete_=True,
        kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=1.0),
    ),
)
