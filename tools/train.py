"""Train a model, distilled or plain: `python tools/train.py --help`."""

from pd_mmdet.workbench.commands.train import main

if __name__ == '__main__':
    main()
