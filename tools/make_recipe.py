"""Make a recipe of two plain configs: `python tools/make_recipe.py --help`."""

from pd_mmdet.workbench.commands.make_recipe import main

if __name__ == '__main__':
    main()
