from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle


class SubCellConv2d(nn.Conv2d):
    """A convolution whose output has c×c sub-cells for each of its cells.

    It has c² times the output channels; a pixel shuffle (Shi et al., CVPR 2016, arXiv 1609.05158)
    makes of them c times the rows and columns. Its parameters have the names that those of a plain
    convolution have. If the weights of a plain convolution are loaded, all sub-cells of a cell
    start as this cell.

    Args:
        plain: The convolution whose place it takes.
        cells: c, sub-cells along each side of a cell.
    """

    def __init__(self, plain: nn.Conv2d, cells: int) -> None:
        names = ('kernel_size', 'stride', 'padding', 'dilation', 'groups', 'padding_mode')
        options: dict[str, Any] = {name: getattr(plain, name) for name in names}
        channels = plain.out_channels * cells**2
        super().__init__(plain.in_channels, channels, bias=plain.bias is not None, **options)
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, and shuffle.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C', H · c, W · c); C' are the output channels of the plain convolution.
        """
        return pixel_shuffle(super().forward(x), self.cells)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load weights; those of a plain convolution are repeated for each sub-cell."""
        plain = self.out_channels // self.cells**2
        for name in ('weight', 'bias'):
            value = state_dict.get(prefix + name)
            if value is not None and len(value) == plain:
                state_dict[prefix + name] = value.repeat_interleave(self.cells**2, dim=0)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, cells={self.cells}'
