import torch
from mmcv.ops import batched_nms

from pd_mmdet.workbench.onnx.suppress import OFF, Detections, suppress


def random_detections(number: int) -> Detections:
    corners = torch.rand(2, number, 2) * 40 - 5
    boxes = torch.cat([corners, corners + torch.rand(2, number, 2) * 30], 2)
    return Detections(boxes, torch.rand(2, number), torch.randint(0, 3, (2, number)))


def test_each_image_keeps_what_mmcv_keeps():
    found = random_detections(60)
    kept = suppress(found, found.labels, 0.5, 40)
    for image in range(2):
        boxes, scores, labels = (each[image] for each in found)
        _, order = batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.5))
        number = int((kept.scores[image] >= 0).sum())
        assert 5 < number == min(len(order), 40)
        assert torch.equal(kept.boxes[image, :number], boxes[order[:40]])
        assert torch.equal(kept.labels[image, :number], labels[order[:40]])


def test_what_takes_no_part_hides_nothing():
    found = random_detections(1)
    boxes = found.boxes.expand(-1, 2, -1)
    scores, labels = torch.tensor([[OFF, 0.2]] * 2), torch.zeros(2, 2, dtype=torch.long)
    kept = suppress(Detections(boxes, scores, labels), labels, 0.5, 5)
    assert kept.scores.tolist() == torch.tensor([[0.2, OFF]] * 2).tolist()
