# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
# The nodes on ROS 2 Jazzy, for x86-64 and aarch64, without privileges. compose.yaml runs camera and node of it.
FROM ros:jazzy

SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /ws

# What it depends on changes seldom, so it is a layer of its own.
COPY package.xml src/self_segmentation/
COPY config/requirements.txt config/constraints.txt src/self_segmentation/config/
# hadolint ignore=DL3008  # apt has one version only, the newest
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip tini \
    && pip install --no-deps -r src/self_segmentation/config/requirements.txt \
    && rosdep update --rosdistro jazzy \
    && rosdep install --from-paths src --ignore-src -y --dependency-types exec --skip-keys "usb_cam rqt_image_view" \
    && rm -rf /var/lib/apt/lists/*

COPY . src/self_segmentation
RUN . /opt/ros/jazzy/setup.bash && colcon build --packages-select self_segmentation

# The first user of most hosts, so that shared memory works between them; the group video may open the camera.
RUN useradd --non-unique --uid 1000 --create-home --groups video robot
USER 1000
ENV ROS_LOG_DIR=/tmp

# ros2 launch ends its nodes on SIGINT only; ros2 run passes no signal on, so the whole group gets it (-g). Exit code 2 is that of
# what would fail again: it becomes 0 (-e 2), with which `--restart on-failure` starts nothing.
STOPSIGNAL SIGINT
ENTRYPOINT ["tini", "-g", "-e", "2", "--", "/ros_entrypoint.sh", "bash", "-c", "source /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "self_segmentation", "segment.launch.py", "camera:=opencv", "viewer:=none"]
