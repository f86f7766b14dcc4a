# From scratch on few small images: SGD, a short warm-up, then a cosine to nothing.
max_epochs = 20
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
    clip_grad=dict(max_norm=5),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=2,
        end=max_epochs,
        T_max=max_epochs - 2,
        convert_to_iter_based=True,
    ),
]
