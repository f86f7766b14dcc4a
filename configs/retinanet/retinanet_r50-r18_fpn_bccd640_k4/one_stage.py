# Teacher on the large image -> student on the small one at once, to compare with. The teacher's
# levels meet those of the student that have the same cells; the heads differ in their priors.
_base_ = './student.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r50-r18_fpn_bccd640_k4/teacher/iter_1500.pth}}'
)
load_from = None
model = dict(
    teacher=dict(_delete_=True, cfg='{{ fileDirname }}/teacher.py', checkpoint=teacher_checkpoint),
    terms=dict(
        _delete_=True,
        pkd=dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0),
    ),
)
