# Teacher on the large image -> student on the small one at once, to compare with. The teacher's
# level of stride 4s meets the student's of stride s; their heads differ in their anchors.
_base_ = './student.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r34-r18_bccd_k4/teacher/iter_600.pth}}'
)
load_from = None
model = dict(
    teacher=dict(_delete_=True, cfg='{{ fileDirname }}/teacher.py', checkpoint=teacher_checkpoint),
    terms=dict(
        _delete_=True,
        pkd=dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0),
    ),
)
