# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The ament_python package self_segmentation."""

from glob import glob

from setuptools import find_packages, setup

NAME = 'self_segmentation'

setup(
    name=NAME,
    version='0.1.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={f'{NAME}.nodes': ['studio/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/config', glob('config/*')),
        (f'share/{NAME}/launch', glob('launch/*.launch.py')),
        (f'share/{NAME}/launch/examples', glob('launch/examples/*.launch.py')),
        (f'share/{NAME}/models', glob('models/*')),
        (f'share/{NAME}/demo', glob('demo/sample*') + glob('demo/background*') + glob('demo/*.md')),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},  # without it `colcon test` runs no test and passes
    zip_safe=True,
    author='self_segmentation contributors',
    maintainer='self_segmentation contributors',
    description='The ROS 2 node that takes the person out of a camera picture and puts any background behind them.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            f'benchmark = {NAME}.programs:benchmark',
            f'camera_node = {NAME}.programs:camera_node',
            f'evaluate = {NAME}.programs:evaluate',
            f'segmentation_node = {NAME}.programs:segmentation_node',
            f'self_segmentation = {NAME}.programs:self_segmentation',
            f'soak = {NAME}.programs:soak',
            f'studio_node = {NAME}.programs:studio_node',
            f'viewer_node = {NAME}.programs:viewer_node',
        ],
    },
)
