"""Write a distilled student as a plain model: `python tools/export_student.py --help`."""

from pd_mmdet.workbench.commands.export_student import main

if __name__ == '__main__':
    main()
