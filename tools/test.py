"""Test a model, distilled or plain: `python tools/test.py --help`."""

from pd_mmdet.workbench.commands.test import main

if __name__ == '__main__':
    main()
