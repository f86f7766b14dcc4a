# The rows of rows.py, and those of an ATSS that is thin behind its backbone: with 20 channels in
# the place of 64 the network on the enlarged image costs 0.575 GFLOPs in the place of 1.318.
_base_ = './rows.py'


def thinner(model):
    """Return options of an ATSS: channels of neck and head."""
    return {
        f'{model}.neck.out_channels': 20,
        f'{model}.bbox_head.in_channels': 20,
        f'{model}.bbox_head.feat_channels': 20,
        f'{model}.bbox_head.norm_cfg': dict(type='GN', num_groups=4),
    }


def thin(k):
    """Return the rows of the thin network on the enlarged image, undistilled and distilled."""
    network = 'thin network, 20 channels behind its backbone, enlarged image'
    return {
        f'thin20_k{k}': dict(
            config='baseline',
            variant=f'_u{k}',
            text=f'undistilled {network}',
            options=thinner('model'),
        ),
        f'thin20_ours_k{k}': dict(
            config='one_stage',
            variant=f'_u{k}',
            text=f'**ours, {network}: T → S**',
            learns_from='teacher',
            options=thinner('model.student'),
        ),
    }


rows = {**thin(2), **thin(4)}
