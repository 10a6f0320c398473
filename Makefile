# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
#
# make demo              the main job on the built-in sample, DEMO_SECONDS=20
# make demo CAMERA=0     ... on a camera
# make test              lint and tests
# make fuzz              look for inputs that break what reads pictures and settings, SECONDS=600
# make bench             how fast it is on this machine
# make soak              half an hour among faults, MINUTES=30
# make reference         config/segmentation.yaml and the README's table from the settings, config/policy.xml from the nodes

DEMO_SECONDS ?= 20
SECONDS ?= 600
CAMERA ?=
MINUTES ?= 30
VENV := $(CURDIR)/.venv
RUN := $(VENV)/bin/python
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$python && break; done)

# The ROS of the .venv, not one that the shell may have sourced.
unexport PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE RMW_IMPLEMENTATION COLCON_PREFIX_PATH
export AMENT_PREFIX_PATH := $(VENV)
export ROS_DISTRO := kilted

.PHONY: demo test fuzz bench soak reference clean

demo: $(VENV)/.complete
	@$(RUN) -m self_segmentation.tools.demo --seconds $(DEMO_SECONDS) --camera '$(CAMERA)'

test: $(VENV)/.complete
	@$(RUN) -m ruff check --config .ci/ruff.toml .
	@$(RUN) -m pytest $(TESTS)

fuzz: $(VENV)/.fuzz
	@$(RUN) test/fuzz/run.py $(SECONDS)

bench: $(VENV)/.complete
	@$(RUN) -m self_segmentation.tools.benchmark --plot docs/performance.png

soak: $(VENV)/.complete
	@$(RUN) -m self_segmentation.tools.soak --minutes $(MINUTES)

reference: $(VENV)/.complete
	@$(RUN) -m self_segmentation.tools.reference yaml > config/segmentation.yaml.new && mv config/segmentation.yaml.new config/segmentation.yaml
	@$(RUN) -m self_segmentation.tools.reference readme README.md
	@$(RUN) -m self_segmentation.tools.policy > config/policy.xml.new && mv config/policy.xml.new config/policy.xml

$(VENV)/.complete: .ci/requirements.txt .ci/requirements-mediapipe.txt
	@test -n '$(PYTHON)' || { echo 'Python 3.10, 3.11 or 3.12 with venv is needed: sudo apt install python3 python3-venv'; exit 1; }
	@echo 'Setting up .venv with ROS 2, MediaPipe and OpenCV from PyPI (once, about a minute) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r .ci/requirements.txt
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r .ci/requirements-mediapipe.txt
	@$(RUN) -c 'import cv2' 2>/dev/null || { \
		echo 'No libGL or glib here, so no window: OpenCV without windows is taken (sudo apt install libgl1 libglib2.0-0 for one).'; \
		$(VENV)/bin/pip uninstall --quiet --yes opencv-contrib-python; \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check \
			"$$(sed -n 's/^opencv-contrib-python\(==[0-9.]*\).*/opencv-contrib-python-headless\1/p' .ci/requirements.txt)"; }
	@touch $@

$(VENV)/.fuzz: .ci/requirements-fuzz.txt $(VENV)/.complete
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r .ci/requirements-fuzz.txt
	@touch $@

clean:
	rm -rf $(VENV) build install log demo/output.mp4 demo/output.png
