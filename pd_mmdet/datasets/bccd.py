from mmdet.datasets.xml_style import XMLDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log


@DATASETS.register_module()
class BCCDDataset(XMLDataset):
    """BCCD: blood cells in 364 photographs of 640×480 pixels, annotated in the format of VOC.

    Boxes without area are dropped. The log names their files.
    """

    METAINFO = dict(
        classes=('RBC', 'WBC', 'Platelets'),
        palette=[(220, 20, 60), (0, 128, 255), (255, 160, 0)],
    )

    def parse_data_info(self, img_info: dict) -> dict:
        """Read the annotation of one image, see :meth:`XMLDataset.parse_data_info`."""
        data_info = super().parse_data_info(img_info)
        kept = [instance for instance in data_info['instances'] if _has_area(instance['bbox'])]
        dropped = len(data_info['instances']) - len(kept)
        if dropped:
            print_log(f'{img_info["xml_path"]}: dropped {dropped} box without area', 'current')
        return data_info | dict(instances=kept)


def _has_area(bbox: list[int]) -> bool:
    x1, y1, x2, y2 = bbox
    return x2 > x1 and y2 > y1
