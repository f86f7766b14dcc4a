from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor, nn

KERNELS = ('average', 'centred')


class FeatureRescale(nn.Module):
    """Shrink feature maps by the ratio k to the size that they have on the small image.

    At ratio 1 they stay as they are.

    Output cell i is a weighted mean over a window of k input cells: the weight of an input cell is
    the part of it that lies in the window. Windows are clipped at the border of the map.

    The number of cells does not always fit the ratio, for example after convolutions without
    padding (the last levels of SSD) or after a neck that enlarges (CenterNet). Then all input cells
    are divided evenly among the output cells.

    The module has no parameters and adds no key to the state dict.

    Args:
        ratio: k, side length of the large image over the small one.
        kernel: ``'average'``: the window of output cell i is [i·k, (i+1)·k).
            ``'centred'``: the window has the same width, but its centre is that of input cell i·k
            (weights ¼ ½ ¼ for k = 2). A convolution with stride k is centred there.

    Raises:
        ValueError: ``kernel`` has another value.
    """

    def __init__(self, ratio: Fraction, kernel: str = 'average') -> None:
        super().__init__()
        if kernel not in KERNELS:
            raise ValueError(f'kernel={kernel!r}: must be {" or ".join(map(repr, KERNELS))}')
        self.ratio = ratio
        self.kernel = kernel

    def forward(
        self, feats: tuple[Tensor, ...], sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, ...]:
        """Rescale the map of each level.

        Args:
            feats: A map (N, C, H, W) for each level.
            sizes: (rows, columns) of the result for each level.

        Returns:
            A map (N, C, rows, columns) for each level.
        """
        if self.ratio == 1:
            return tuple(feats)  # a product with the identity is not exact in TF32
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
@torch.inference_mode(False)  # a tensor that is cached in testing is used in training, too
def overlap_weights(
    n_in: int,
    n_out: int,
    ratio: Fraction,
    kernel: str,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = 'cpu',
) -> Tensor:
    """Compute the weight of each input cell in each output cell.

    Args:
        n_in: Number of input cells along one side.
        n_out: Number of output cells along that side, at most ``n_in``.
        ratio: As for :class:`FeatureRescale`.
        kernel: As for :class:`FeatureRescale`.
        dtype: Type of the result.
        device: Device of the result.

    Returns:
        Weights (n_out, n_in); every row sums to 1.

    Raises:
        ValueError: There are more output cells than input cells.
    """
    if n_in < n_out:
        raise ValueError(f'{n_in} cells cannot be shrunk to {n_out} cells (ratio {ratio})')
    fits = (n_out - 1) * ratio < n_in < (n_out + 1) * ratio
    width = float(ratio) if fits else n_in / n_out
    shift = (1 - width) / 2 if fits and kernel == 'centred' else 0.0
    start = torch.arange(n_out, dtype=torch.float64)[:, None] * width + shift
    cell = torch.arange(n_in, dtype=torch.float64)[None, :]
    overlap = torch.minimum(start + width, cell + 1) - torch.maximum(start, cell)
    overlap = overlap.clamp(min=0)
    return (overlap / overlap.sum(1, keepdim=True)).to(device=device, dtype=dtype)
