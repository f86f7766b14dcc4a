# Faster R-CNN for a few cores: MobileNetV2 with ImageNet's weights, 64 channels behind it, few RoIs.
# Levels start at stride 4, and anchors at 6 pixels: most objects of drone images are under 12.
_base_ = './faster-rcnn_r18_slim_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 7),
        norm_eval=False,
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$MOBILENET_V2:open-mmlab://mmdet/mobilenet_v2}}'
        ),
    ),
    neck=dict(in_channels=[24, 32, 96, 1280], num_outs=4),
    rpn_head=dict(anchor_generator=dict(scales=[1.5, 2.5], strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16, 32]), bbox_head=dict(num_classes=3)
    ),
    train_cfg=dict(rpn=dict(assigner=dict(pos_iou_thr=0.5))),
)
