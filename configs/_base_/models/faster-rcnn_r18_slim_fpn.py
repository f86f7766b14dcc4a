# Faster R-CNN for small images and few cores: ResNet-18 of half the width and without its last
# stage, an FPN of 64 channels on the strides 4, 8 and 16, few RoIs. Trained from scratch, so
# nothing is frozen and norm statistics learn. PRETRAINED=1 takes the full width and ImageNet's
# weights.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'
pretrained = '{{$PRETRAINED:0}}' != '0'
width = 64 if pretrained else 32
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        depth=18,
        stem_channels=width,
        base_channels=width,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')
        if pretrained
        else None,
    ),
    neck=dict(in_channels=[width, 2 * width, 4 * width], out_channels=64, num_outs=3),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4, 6], strides=[4, 8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=64,
            featmap_strides=[4, 8, 16],
            finest_scale=28,
            # As many samples as a box has pixels are slow on a CPU.
            roi_layer=dict(sampling_ratio=2),
        ),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.6)),
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)
