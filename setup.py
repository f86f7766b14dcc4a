import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r"'(.+)'", (ROOT / 'pd_mmdet' / 'version.py').read_text())[1]

setup(
    name='pd_mmdet',
    version=VERSION,
    description='Pixel distillation for MMDetection: detectors that read small images, taught by '
    'detectors that read large ones',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='computer vision, object detection, knowledge distillation, low resolution',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['pd_mmdet', 'pd_mmdet.*']),
    python_requires='>=3.10',
    # PyTorch is missing on purpose: which build fits is the user's to choose, and onedl-mmcv is
    # compiled against it.
    install_requires=(ROOT / 'requirements.txt').read_text().split(),
    extras_require={
        'cls': ['onedl-mmpretrain==1.3.6'],
        'dev': [
            'pytest>=8',
            'pytest-xdist>=3.6',
            'ruff==0.17.6',
            'scikit-learn>=1.5',  # PAA's loss
            'tensorboard>=2.15',
        ],
    },
)
