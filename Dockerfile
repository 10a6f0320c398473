# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
# The nodes on ROS 2 Humble, Jazzy, Kilted or Lyrical, for x86-64 and aarch64, without privileges: compose.yaml runs camera and node
# of it. docker build --build-arg ROS_DISTRO=lyrical .
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}

# The image has ROS_DISTRO as a variable; an argument from before FROM is unknown here.
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
# Humble's pip knows neither of the two switches, and ignores them.
ENV DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /ws

# What it depends on changes seldom, so it is a layer of its own.
COPY package.xml src/self_segmentation/
COPY config/requirements.txt config/constraints.txt src/self_segmentation/config/
# hadolint ignore=DL3008  # apt has one version only, the newest
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip tini \
    && pip3 install --no-deps -r src/self_segmentation/config/requirements.txt \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y --dependency-types exec --skip-keys "usb_cam rqt_image_view" \
    && rm -rf /var/lib/apt/lists/*

COPY . src/self_segmentation
RUN . "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build --packages-select self_segmentation

# The number of the first user of most hosts, so that shared memory works between them; the group video may open the camera where
# the host's has the same number. ~/save writes to the folder, which a volume keeps: it takes its owner from here.
RUN useradd --non-unique --uid 1000 --create-home --groups video robot && install -d -o robot /home/robot/self_segmentation
USER robot
ENV ROS_LOG_DIR=/tmp ROS_HOME=/home/robot/self_segmentation/.ros PATH=/ws/install/self_segmentation/lib/self_segmentation:$PATH

# The programs themselves are started, by name: ros2 run passes no signal on. ros2 launch ends its nodes on SIGINT only, and where
# something passes none on, its group gets it (-g). Exit code 2 is that of what would fail again: it becomes 0 (-e 2), with which
# `restart: on-failure` starts nothing.
STOPSIGNAL SIGINT
ENTRYPOINT ["tini", "-g", "-e", "2", "--", "/ros_entrypoint.sh", "bash", "-c", "source /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "self_segmentation", "segment.launch.py", "camera:=opencv", "viewer:=none"]
