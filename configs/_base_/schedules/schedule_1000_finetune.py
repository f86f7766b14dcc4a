# From ImageNet's weights on few images: AdamW, a short warm-up, then a cosine to nothing.
_base_ = './schedule_1000_scratch.py'
optim_wrapper = dict(optimizer=dict(lr=0.0005))
