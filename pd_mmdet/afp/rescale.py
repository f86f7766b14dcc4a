from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor, nn

KERNELS = ('average', 'centred')


class FeatureRescale(nn.Module):
    """Shrink feature maps by the ratio, so that they have the cells of the small image's maps.

    Cell i becomes the mean over a window of ``ratio`` cells, clipped to the map and weighted by
    overlap. A map with a window too many or too few, which convolutions without padding (the last
    levels of SSD) and enlarging necks (CenterNet's) make, is shared out evenly. The module has no
    parameters and adds no key to a state dict.

    Args:
        ratio: Side length of the large image over the small one.
        kernel: ``'average'``: the window is [i·k, (i+1)·k), the cells that tile small cell i;
            ``'centred'``: the window of the same width around the centre of cell i·k (¼ ½ ¼ for
            k = 2), where a strided convolution centres its cell i·k.

    Raises:
        ValueError: If ``kernel`` is neither.
    """

    def __init__(self, ratio: Fraction, kernel: str = 'average') -> None:
        super().__init__()
        if kernel not in KERNELS:
            raise ValueError(f'kernel={kernel!r}: AFP knows {" and ".join(map(repr, KERNELS))}')
        self.ratio = ratio
        self.kernel = kernel

    def forward(
        self, feats: tuple[Tensor, ...], sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, ...]:
        """Rescale each level (N, C, H, W) to its entry (rows, columns) of ``sizes``."""
        return tuple(self._rescale(feat, size) for feat, size in zip(feats, sizes, strict=True))

    def _rescale(self, feat: Tensor, size: tuple[int, int]) -> Tensor:
        rows, columns = (
            overlap_weights(n_in, n_out, self.ratio, self.kernel, feat.dtype, feat.device)
            for n_in, n_out in zip(map(int, feat.shape[-2:]), map(int, size))
        )
        return rows @ (feat @ columns.t())

    def extra_repr(self) -> str:
        return f'ratio={self.ratio}, kernel={self.kernel!r}'


@lru_cache(maxsize=1024)
@torch.inference_mode(False)  # what is cached in testing also serves training
def overlap_weights(
    n_in: int,
    n_out: int,
    ratio: Fraction,
    kernel: str,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = 'cpu',
) -> Tensor:
    """Weights (n_out, n_in) of the input cells in each output cell; every row sums to 1.

    Raises:
        ValueError: If there are more output cells than input cells.
    """
    if n_in < n_out:
        raise ValueError(f'{n_in} cells rescaled by {ratio} cannot fill {n_out} cells')
    fits = (n_out - 1) * ratio < n_in < (n_out + 1) * ratio
    width = float(ratio) if fits else n_in / n_out
    shift = (1 - width) / 2 if fits and kernel == 'centred' else 0.0
    start = torch.arange(n_out, dtype=torch.float64)[:, None] * width + shift
    cell = torch.arange(n_in, dtype=torch.float64)[None, :]
    overlap = torch.minimum(start + width, cell + 1) - torch.maximum(start, cell)
    overlap = overlap.clamp(min=0)
    return (overlap / overlap.sum(1, keepdim=True)).to(device=device, dtype=dtype)
