# `make run` and `make test` do all their set-up: a virtual environment in .venv from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUNS ?= runs
HOSTS ?= 1000
SEED ?= 1

.PHONY: run test lock set-up setup clean

# A generated fleet from snapshot to report; what an earlier `make run` left there is replaced.
run: setup
	@rm -rf $(RUNS)/fleet $(RUNS)/plan $(RUNS)/campaign
	@mkdir -p $(RUNS)
	$(BIN)/slacktide fleet generate --hosts $(HOSTS) --seed $(SEED) -o $(RUNS)/fleet
	@echo
	$(BIN)/slacktide plan $(RUNS)/fleet --preset urgent -o $(RUNS)/plan
	@echo
	$(BIN)/slacktide audit $(RUNS)/fleet $(RUNS)/plan
	@echo
	$(BIN)/slacktide run $(RUNS)/fleet $(RUNS)/plan -o $(RUNS)/campaign
	@printf '\nThe report is %s\n' "$(abspath $(RUNS))/campaign/report.html"

test: setup
	.ci/check

set-up setup: $(VENV)/ready

$(VENV)/ready: requirements.lock requirements-libvirt.lock pyproject.toml .ci/set-up
	@PYTHON="$(PYTHON)" VENV="$(VENV)" .ci/set-up

# Renew the locked versions: every package with the hashes of its files.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-header -o requirements.lock --upgrade
	echo libvirt-python | $(BIN)/uv pip compile - --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-header -o requirements-libvirt.lock --upgrade

clean:
	rm -rf $(VENV) $(RUNS) build dist
