"""Write a student as one ONNX file: `python tools/export_onnx.py --help`."""

from pd_mmdet.workbench.commands.export_onnx import main

if __name__ == '__main__':
    main()
