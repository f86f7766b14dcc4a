from __future__ import annotations

from typing import Any

from mmdet.structures.mask import BitmapMasks


class MasksOfBothViews(BitmapMasks):
    """Bitmap masks of the large image that have those of the small one with them.

    An assistant reads the large image and wants the small masks at every step. So they are made
    where the item is loaded, by one of the loader's processes; resizing to their shape, by area,
    hands them over. They follow when masks are picked or padded; nothing else keeps them.

    Args:
        large: The masks.
        small: The same, of the small image.
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
        if odd_height or odd_width:  # of a detector that reads the large image only
            return large
        return MasksOfBothViews(large, self.small.pad((height, width), pad_val))

    def resize(self, out_shape: tuple[int, int], interpolation: str = 'nearest') -> BitmapMasks:
        if interpolation == 'area' and tuple(out_shape) == (self.small.height, self.small.width):
            return self.small
        return super().resize(out_shape, interpolation)
