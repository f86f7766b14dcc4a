# FGVC-Aircraft at the folder that the variable AIRCRAFT_ROOT names, as CUB-200-2011.
_base_ = './cub.py'
data_root = '{{$AIRCRAFT_ROOT:data/fgvc-aircraft-2013b}}/'
data_hint = (
    'get FGVC-Aircraft (www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft), and set the environment '
    'variable AIRCRAFT_ROOT to the folder fgvc-aircraft-2013b, in which data/images is'
)
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(
    dataset=dict(type='FGVCAircraft', data_root=data_root, split='trainval'),
)
val_dataloader = dict(dataset=dict(type='FGVCAircraft', data_root=data_root))
test_dataloader = val_dataloader
