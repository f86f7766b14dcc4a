from copy import deepcopy

import pytest
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import MODELS

import pd_mmdet  # noqa: F401
from pd_mmdet.testing.zoo.configs import read_config
from tests.helpers.slim import slim

REFUSED = {
    'detr/detr_r50_8xb2-150e_coco.py': 'DETR: .*learned queries',
    'dino/dino-4scale_r50_8xb2-12e_coco.py': 'DINO: .*learned queries',
    'grounding_dino/grounding_dino_swin-t_pretrain_obj365_goldg_cap4m.py': 'learned queries',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco.py': 'Mask2Former: .*learned queries',
    'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py': 'SparseRCNN: .*learned queries',
    'queryinst/queryinst_r50_fpn_1x_coco.py': 'QueryInst: .*learned queries',
    'glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365.py': 'GLIP: it reads a text',
    'ld/ld_r18-gflv1-r101_fpn_1x_coco.py': 'it is a distiller itself; take the plain',
    'lad/lad_r101-paa-r50_fpn_2xb8_coco_1x.py': 'LAD: it is a distiller itself',
    'clrnet/clrnet.py': 'CLRNet: its priors are lanes',
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py': 'moving average',
    'qdtrack/qdtrack_faster-rcnn_r50_fpn_4e_base.py': 'QDTrack: it is no detector of single images',
    'misc/d2_retinanet_r50-caffe_fpn_ms-90k_coco.py': 'its network is Detectron2',
    'faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py': 'FasterRCNN: it has no neck',
    'cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py': 'CornerNet: it has no neck',
}


def assistant(cfg):
    return MODELS.build(dict(type='AFPDetector', detector=cfg, ratio=2))


@pytest.mark.parametrize('name', REFUSED)
def test_refuses_what_has_no_priors_to_align(name, monkeypatch):
    """And before it asks for weights or packages that are not there."""
    cfg = read_config(name).model
    before = deepcopy(cfg)
    with pytest.raises(NotImplementedError, match=f'AFP of .*{REFUSED[name]}'):
        assistant(cfg)
    assert cfg == before


def test_refuses_a_preprocessor_that_may_make_anything_of_the_image():
    class MakesTargets(DetDataPreprocessor):
        pass

    cfg = slim('RetinaNet')
    cfg.data_preprocessor.type = MakesTargets
    with pytest.raises(
        NotImplementedError, match='RetinaNet: its data_preprocessor is a MakesTargets'
    ):
        assistant(cfg)


def test_a_type_that_does_not_exist_is_named():
    cfg = slim('RetinaNet')
    cfg.type = 'RetinaNett'
    with pytest.raises(KeyError, match='RetinaNett'):
        assistant(cfg)


def test_a_type_may_be_a_class_or_carry_the_scope():
    for kind in (MODELS.get('DETR'), 'mmdet.DETR'):
        with pytest.raises(NotImplementedError, match='AFP of DETR'):
            assistant(dict(type=kind))
