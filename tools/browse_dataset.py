"""Draw a detector's training images: `python tools/browse_dataset.py --help`."""

from pd_mmdet.workbench.commands.browse_dataset import main

if __name__ == '__main__':
    main()
