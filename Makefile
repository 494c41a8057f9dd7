# Every target is one line that calls a tool or a script; `make venv` is made when it is needed, and costs nothing after.
.PHONY: help venv lock demo demo-clean test check bench bench-decisions soak

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

venv:  ## .venv from requirements.lock, with Tidegate in it
	@scripts/venv.sh

lock: venv  ## requirements.lock from pyproject.toml (ARGS=--upgrade)
	@scripts/lock.sh $(ARGS)

demo: venv  ## a real agent from commit to traffic, then a bad version taken back
	@scripts/engine.sh >/dev/null && .venv/bin/python scripts/demo.py

demo-clean: venv  ## remove all that the demo made, and stop the engine if the demo started it
	@.venv/bin/python scripts/demo.py --clean && scripts/engine.sh --stop

test: venv  ## every test (20 minutes at most); ARGS go to pytest
	@scripts/test.sh $(ARGS)

check: venv  ## style, types, import law, lock
	@scripts/check.sh

bench: venv  ## measurements into bench/results/, twelve minutes (ARGS=release:aborts for a part)
	@scripts/engine.sh >/dev/null && .venv/bin/python -m bench $(ARGS)

bench-decisions: venv  ## the decision engine, the oracle and the field's rules on simulated traffic (an hour; ARGS="--runs 200")
	@.venv/bin/python bench/decisions.py $(ARGS) && .venv/bin/python bench/speed.py && .venv/bin/python docs/pictures.py

soak: venv  ## every crash point on real engines, TIDEGATE_SOAK_MINUTES (30) long
	@scripts/engine.sh >/dev/null && TIDEGATE_REQUIRE_ENGINE=1 TIDEGATE_SOAK_MINUTES=$${TIDEGATE_SOAK_MINUTES:-30} .venv/bin/python -m pytest tests/soak --timeout=0 $(ARGS)
