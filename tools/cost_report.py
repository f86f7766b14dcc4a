"""Report what networks cost to run: `python tools/cost_report.py --help`."""

from pd_mmdet.workbench.commands.cost_report import main

if __name__ == '__main__':
    main()
