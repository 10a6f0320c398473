# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
#
# make demo              the main job on the built-in sample, until Ctrl-C; DEMO_SECONDS=60
# make demo CAMERA=0     ... on a camera
# make test              all tests; the studio's page in a browser: sudo apt install chromium
# make check             lint, types and the tests that take neither ROS processes nor seconds: for the one who edits, about a minute
# make lint              ruff and mypy
# make coverage          which lines the tests reach, all but the slow ones; MARKS='not processes and not slow' for the quick ones alone
# make test-matrix       the tests in every world: Pythons, ROS distributions, MediaPipes, LiteRT alone, the wheel; SESSIONS=...
# make fuzz              look for inputs that break what reads images and settings, into .fuzz; SECONDS=600
# make bench             how fast it is on this machine; PLOT=docs/performance.png draws it too
# make pictures          the pictures of docs/: looks, backgrounds, and the screenshots (which need chromium)
# make soak              an hour of what users leave running, with kills and changes: memory, frames, errors; MINUTES=60
# make reference         config/segmentation.yaml and docs/parameters.md from the settings, config/policy.xml from the nodes
#
# Each sets up in .venv what it needs (.ci/make_venv.py). PYTHON=python3.12 chooses the Python.
# Paths are relative: the clone may lie in a folder with spaces and quotes in its name.

DEMO_SECONDS ?=
SECONDS ?= 600
CAMERA ?=
MINUTES ?= 60
PLOT ?=
WORKERS ?= 4
MARKS ?= not slow
RUN := .venv/bin/python
# The Python of the .venv first, so that the one it was made with stays; then the one that most was tried with.
FIND_PYTHON := for python in .venv/bin/python python3.11 python3.12 python3.10 python3.13 python3.14 python3; do \
	$$python .ci/make_venv.py 2>/dev/null && echo $$python && exit; done; echo python3
LINT := $(RUN) -m ruff check --quiet --config .ci/ruff.toml . && $(RUN) -m mypy --config-file .ci/mypy.ini -p self_segmentation
SET_UP = @python="$${PYTHON:-$$($(FIND_PYTHON))}"; "$$python" .ci/make_venv.py

# Hundreds of the tests' processes would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
# The ROS of the .venv, not one that the shell may have sourced.
unexport PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE RMW_IMPLEMENTATION COLCON_PREFIX_PATH
export AMENT_PREFIX_PATH := $(CURDIR)/.venv
export ROS_DISTRO := kilted
# The messages that PyPI lacks (vision_msgs, tf2_msgs) and message_filters, where .ci/run has built them.
ifneq ($(wildcard .interfaces/python/vision_msgs),)
export PYTHONPATH := $(CURDIR)/.interfaces/python
export LD_LIBRARY_PATH := $(CURDIR)/.interfaces/lib
export AMENT_PREFIX_PATH := $(CURDIR)/.interfaces:$(CURDIR)/.venv
endif

.PHONY: set-up demo test check lint coverage test-matrix fuzz bench pictures soak reference clean

set-up:
	$(SET_UP) demo test

demo:
	$(SET_UP) demo
	@$(RUN) -m self_segmentation.tools.demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) --camera '$(CAMERA)'

test:
	$(SET_UP) demo test
	@$(RUN) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(TESTS)

check:
	$(SET_UP) demo test lint
	@{ $(LINT); } & lint=$$!; $(RUN) -m pytest -m 'not processes and not slow' -n 2 --dist worksteal $(TESTS); tests=$$?; \
		wait $$lint && exit $$tests

coverage: export COVERAGE_RCFILE = $(CURDIR)/.ci/coverage.ini
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage/data
coverage:
	$(SET_UP) demo test coverage
	@rm -rf .coverage && mkdir .coverage
	@$(RUN) -m coverage run -m pytest -m '$(MARKS)' -n 2 --dist worksteal $(TESTS)
	@$(RUN) -m coverage combine --quiet
	@$(RUN) -m coverage report

lint:
	$(SET_UP) demo test lint
	@$(LINT)

test-matrix:
	$(SET_UP) matrix
	@env -u AMENT_PREFIX_PATH -u ROS_DISTRO $(RUN) -m nox --noxfile .ci/noxfile.py $(if $(SESSIONS),--sessions '$(SESSIONS)')

fuzz:
	$(SET_UP) demo test fuzz
	@$(RUN) test/fuzz/run.py $(SECONDS)

bench:
	$(SET_UP) demo test
	@$(RUN) -m self_segmentation.tools.benchmark $(if $(PLOT),--plot '$(PLOT)')

pictures:
	$(SET_UP) demo test
	@$(RUN) -m self_segmentation.tools.gallery
	@$(RUN) test/helpers/studio.py pictures docs

soak:
	$(SET_UP) demo test
	@$(RUN) test/soak/soak.py --minutes $(MINUTES)

reference:
	$(SET_UP) demo
	@$(RUN) -m self_segmentation.tools.reference yaml > config/segmentation.yaml.new && mv config/segmentation.yaml.new config/segmentation.yaml
	@$(RUN) -m self_segmentation.tools.reference renew docs/parameters.md
	@$(RUN) -m self_segmentation.tools.policy > config/policy.xml.new && mv config/policy.xml.new config/policy.xml

clean:
	rm -rf .venv .nox .coverage build install log demo/output.mp4 demo/output.png
