# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
#
# make demo              the main job on the built-in sample, DEMO_SECONDS=20
# make demo CAMERA=0     ... on a camera
# make test              lint, types and all tests; the studio's page in a browser: sudo apt install chromium
# make check             lint, types and the tests that take neither ROS processes nor seconds: for the one who edits, about a minute
# make test-matrix       the tests in every world: Pythons, ROS distributions, MediaPipes, LiteRT alone, the wheel; SESSIONS=...
# make fuzz              look for inputs that break what reads images and settings, SECONDS=600
# make bench             how fast it is on this machine
# make pictures          the pictures of docs/: looks, backgrounds, and the screenshots (which need chromium)
# make soak              an hour of what users leave running, with kills and changes: memory, frames, errors; MINUTES=60
# make reference         config/segmentation.yaml and the README's table from the settings, config/policy.xml from the nodes
#
# Paths are relative: the clone may lie in a folder with spaces and quotes in its name.

DEMO_SECONDS ?=
SECONDS ?= 600
CAMERA ?=
MINUTES ?= 60
WORKERS ?= 4
RUN := .venv/bin/python
PIP := $(RUN) -m pip -qq --disable-pip-version-check
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3.13 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
OPENCV = $$(sed -n 's/^opencv-contrib-python\(==[0-9.]*\).*/\1/p' .ci/requirements.txt)

# Hundreds of the tests' processes would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
# The ROS of the .venv, not one that the shell may have sourced.
unexport PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE RMW_IMPLEMENTATION COLCON_PREFIX_PATH
export AMENT_PREFIX_PATH := $(CURDIR)/.venv
export ROS_DISTRO := kilted

.PHONY: demo test check lint test-matrix fuzz bench pictures soak reference window clean

demo: window
	@$(RUN) -m self_segmentation.tools.demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) --camera '$(CAMERA)'

test: lint
	@$(RUN) -m pytest -n $(WORKERS) --dist loadscope $(TESTS)

check: lint
	@$(RUN) -m pytest -m 'not processes and not slow' -n 2 --dist loadscope $(TESTS)

lint: .venv/.complete
	@$(RUN) -m ruff check --quiet --config .ci/ruff.toml .
	@$(RUN) -m mypy --config-file .ci/mypy.ini -p self_segmentation

test-matrix: .venv/.matrix
	@env -u AMENT_PREFIX_PATH -u ROS_DISTRO $(RUN) -m nox --noxfile .ci/noxfile.py $(if $(SESSIONS),--sessions '$(SESSIONS)')

fuzz: .venv/.fuzz
	@$(RUN) test/fuzz/run.py $(SECONDS)

bench: .venv/.complete
	@$(RUN) -m self_segmentation.tools.benchmark --plot docs/performance.png

pictures: .venv/.complete
	@$(RUN) -m self_segmentation.tools.gallery
	@$(RUN) test/studio.py pictures docs

soak: .venv/.complete
	@$(RUN) test/soak/soak.py --minutes $(MINUTES)

reference: .venv/.complete
	@$(RUN) -m self_segmentation.tools.reference yaml > config/segmentation.yaml.new && mv config/segmentation.yaml.new config/segmentation.yaml
	@$(RUN) -m self_segmentation.tools.reference readme README.md
	@$(RUN) -m self_segmentation.tools.policy > config/policy.xml.new && mv config/policy.xml.new config/policy.xml

.venv/.complete: .ci/requirements.txt .ci/requirements-kilted.txt .ci/requirements-test.txt .ci/requirements-runtimes.txt
	@test -n '$(PYTHON)' || { echo 'Python 3.10 to 3.13 with venv is needed: sudo apt install python3 python3-venv'; exit 1; }
	@echo 'Setting up .venv with ROS 2, OpenCV, MediaPipe and LiteRT from PyPI (once, about a minute) ...'
	@$(PYTHON) -m venv .venv
	@$(PIP) install -r .ci/requirements.txt
	@$(PIP) install --no-deps -r .ci/requirements-runtimes.txt
	@$(RUN) -c 'import cv2' 2>/dev/null || { \
		echo 'No libGL or glib here, so no window: OpenCV without windows is taken (sudo apt install libgl1 libglib2.0-0 for one).'; \
		$(PIP) uninstall --yes opencv-contrib-python && $(PIP) install "opencv-contrib-python-headless$(OPENCV)"; }
	@touch $@

# Where libGL and glib came later: OpenCV with windows after all.
window: .venv/.complete
	@! ls .venv/lib/python3.*/site-packages/opencv_contrib_python_headless-*.dist-info >/dev/null 2>&1 \
	|| ! $(RUN) -c 'import ctypes; [ctypes.CDLL(name) for name in ("libGL.so.1", "libgthread-2.0.so.0")]' 2>/dev/null \
	|| { echo 'libGL and glib are here now: OpenCV with windows is taken.'; \
		$(PIP) download --no-deps --dest .venv/opencv "opencv-contrib-python$(OPENCV)" \
		&& $(PIP) uninstall --yes opencv-contrib-python-headless && $(PIP) install --no-deps .venv/opencv/*.whl; }

.venv/.fuzz .venv/.matrix: .venv/.%: .ci/requirements-%.txt .venv/.complete
	@$(PIP) install -r $<
	@touch $@

clean:
	rm -rf .venv .nox build install log demo/output.mp4 demo/output.png
