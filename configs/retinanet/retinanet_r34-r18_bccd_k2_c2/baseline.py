# The student alone, with 2×2 sub-cells: its head has as many priors as one on the large image.
_base_ = '../retinanet_r34-r18_bccd_k2/baseline.py'
model = dict(_delete_=True, type='SubCellDetector', cells=2, detector=_base_.model)
ceiling = '{{ fileDirname }}/../retinanet_r34-r18_bccd_k2/ceiling.py'
