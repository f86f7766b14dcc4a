"""Train all stages of a recipe: `python tools/train_tas.py --help`."""

from pd_mmdet.workbench.commands.train_tas import main

if __name__ == '__main__':
    main()
