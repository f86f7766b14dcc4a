# The teacher with the student's anchors and two levels more: its anchors of stride 4s are those of
# the student's stride s, so that one_stage_heads.py can compare what their heads say.
_base_ = './teacher.py'
model = dict(
    data_preprocessor=dict(pad_size_divisor=64),
    neck=dict(num_outs=5),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=1.4, strides=[4, 8, 16, 32, 64])),
)
