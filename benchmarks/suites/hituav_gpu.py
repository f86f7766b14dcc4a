# HIT-UAV for a GPU: the networks and data of hituav.py, batches of 16 in the place of 4, so that
# each image is seen seven times, not twice. `--jobs 12` trains twelve networks at once.
_base_ = './hituav.py'
title = 'HIT-UAV on a GPU'
options = {
    'train_dataloader.batch_size': 16,
    'train_dataloader.num_workers': 2,
    'val_dataloader.batch_size': 32,
    'test_dataloader.batch_size': 32,
    'optim_wrapper.optimizer.lr': 0.001,
}
k2, k4 = (f'../../configs/atss/atss_efficientnet-lite2-mobilenet-v2_hituav_k{k}' for k in (2, 4))
first = ['teacher', 'ceiling', 'baseline']
parts = [
    dict(
        title='ATSS, 320×256 → 160×128: bytes and cells',
        recipe=k2,
        rows=[
            *first,
            'enlarged_untrained_k2',
            'enlarged_k2',
            'cells_k2',
            'assistant_cells_k2',
            'ours_cells_k2',
            'assistant_enlarged_k2',
            'ours_enlarged_k2',
            'thin16_k2',
            'thin16_ours_k2',
            'baseline_long',
        ],
    ),
    dict(
        title='ATSS, 320×256 → 80×64: bytes and cells',
        recipe=k4,
        rows=[
            *first,
            'enlarged_untrained_k4',
            'enlarged_k4',
            'u2_c2',
            'assistant_u2_c2',
            'ours_u2_c2',
            'assistant_enlarged_k4',
            'ours_enlarged_k4',
            'thin16_k4',
            'thin16_ours_k4',
        ],
    ),
    dict(
        title='ATSS, 320×256 → 160×128',
        recipe=k2,
        rows=[*first, 'assistant', 'ours', 'pkd', 'cwd', 'one_stage_cells_k2'],
    ),
]
