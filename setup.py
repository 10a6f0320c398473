# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The ament_python package self_segmentation."""

import sys
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'self_segmentation'
PROGRAMS = [f'{each} = {NAME}.programs:{each}' for each in (
    'benchmark', 'camera_node', 'evaluate', 'segmentation_node', 'self_segmentation', 'studio_node', 'viewer_node')]
if not {'install', 'develop'} & set(sys.argv):  # a wheel's programs share a folder with others
    PROGRAMS = [program if program.startswith(NAME) else f'{NAME}-{program}' for program in PROGRAMS]

setup(
    name=NAME,
    version='0.1.0',  # catkin_prepare_release sets it here and in package.xml, which the program reads
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={f'{NAME}.studio': ['page/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/config', glob('config/*.*')),
        (f'share/{NAME}/config/consumers', glob('config/consumers/*')),
        (f'share/{NAME}/examples', glob('examples/*.py')),
        (f'share/{NAME}/launch', glob('launch/*.launch.py')),
        (f'share/{NAME}/launch/examples', glob('launch/examples/*.launch.py')),
        (f'share/{NAME}/models', glob('models/*')),
        (f'share/{NAME}/demo', ['demo/background.jpg', 'demo/sample.mp4', 'demo/LICENSES.md']),
        (f'share/{NAME}/demo/backgrounds', glob('demo/backgrounds/*')),
    ],
    python_requires='>=3.10',
    install_requires=[
        'ai-edge-litert>=2',  # sends nothing, as later versions of MediaPipe do
        'av>=12',
        'numpy>=1.21',
        'opencv-python-headless>=4.5',  # needs no library of the system; those with windows need X11's, and share its folder
        'pillow>=9',
        'pygame-ce>=2.1.3',  # the window
        'PyYAML>=5.4',
        'tqdm>=4.57',
    ],
    extras_require={
        'heic': ['pillow-heif'],
        'recordings': [
            'rosbags>=0.11.6',  # the first whose writer can be aborted, and whose errors about QoS are its own
            'mcap>=1.0.2',
            'backports.zstd; python_version < "3.14"',
            'zstandard',
        ],
        'studio': ['aiohttp>=3.8'],
        'plot': ['matplotlib>=3.5'],
        'ros-wheels': [  # Kilted, x86-64; from apt otherwise
            'ros-ament-index-python==1.11.0',
            'ros-diagnostic-msgs==5.5.1',
            'ros-geometry-msgs==5.5.1',
            'ros-lifecycle-msgs==2.3.0',
            'ros-rclpy==9.1.2',
            'ros-rmw-fastrtps-cpp==9.3.3',
            'ros-sensor-msgs==5.5.1',
            'ros-std-srvs==5.5.1',
        ],
        'test': ['pytest', 'hypothesis'],  # without pytest here `colcon test` runs no test and passes
    },
    zip_safe=False,
    author='self_segmentation contributors',
    maintainer='self_segmentation contributors',
    description='Takes people out of a camera image and puts any background behind them; a ROS 2 node and a program without ROS.',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    entry_points={'console_scripts': PROGRAMS},
)
