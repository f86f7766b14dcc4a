# The rows of rows.py, and those of an ATSS that is thin behind its backbone: with 16 channels in
# the place of 64 the network on the enlarged image costs 0.572 GFLOPs in the place of 1.318.
_base_ = './rows.py'


def thinner(model, channels):
    """Return options of an ATSS: channels of neck and head."""
    return {
        f'{model}.neck.out_channels': channels,
        f'{model}.bbox_head.in_channels': channels,
        f'{model}.bbox_head.feat_channels': channels,
        f'{model}.bbox_head.norm_cfg': dict(type='GN', num_groups=4),
    }


def thin(k, channels):
    """Return the rows of the thin network on the enlarged image, undistilled and distilled."""
    network = f'thin network, {channels} channels, enlarged image'
    return {
        f'thin{channels}_k{k}': dict(
            config='baseline',
            variant=f'_u{k}',
            text=f'undistilled {network}',
            options=thinner('model', channels),
        ),
        f'thin{channels}_ours_k{k}': dict(
            config='one_stage',
            variant=f'_u{k}',
            text=f'**ours, {network}: T → S**',
            learns_from='teacher',
            options=thinner('model.student', channels),
        ),
    }


# The better of hituav_tuning's trials, where it is not the weight that BCCD has.
tuned = dict(pkd=dict(options={'model.terms': dict(pkd=dict(weight=6.0))}))
# 20 channels (46 % of the FLOPs) were tried in hituav_tuning.
rows = {**thin(2, 16), **thin(4, 16), **thin(2, 20), **tuned}
