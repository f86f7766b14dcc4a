from __future__ import annotations

from typing import Any

from mmdet.structures.mask import BitmapMasks


class MasksOfBothViews(BitmapMasks):
    """Bitmap masks of the large image that also carry the masks of the small image.

    An assistant reads the large image, but its losses need the masks of the small one in every
    step. So they are made once, by a process of the data loader. ``resize`` to their shape, with
    interpolation 'area', returns them. Indexing and padding keep them; other operations drop them.

    Args:
        large: Masks of the large image.
        small: Masks of the small image, in the same order.
    """

    def __init__(self, large: BitmapMasks, small: BitmapMasks) -> None:
        super().__init__(large.masks, large.height, large.width)
        self.small = small

    def __getitem__(self, index: Any) -> MasksOfBothViews:
        return MasksOfBothViews(super().__getitem__(index), self.small[index])

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        large = super().pad(out_shape, pad_val)
        height, odd_height = divmod(out_shape[0] * self.small.height, self.height)
        width, odd_width = divmod(out_shape[1] * self.small.width, self.width)
        if odd_height or odd_width:  # a detector that needs no small masks
            return large
        return MasksOfBothViews(large, self.small.pad((height, width), pad_val))

    def resize(self, out_shape: tuple[int, int], interpolation: str = 'nearest') -> BitmapMasks:
        if interpolation == 'area' and tuple(out_shape) == (self.small.height, self.small.width):
            return self.small
        return super().resize(out_shape, interpolation)
