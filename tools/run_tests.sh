#!/usr/bin/env bash
# Set up, then check style and types and run the tests: tools/run_tests.sh [options of pytest]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh

# The tests' tensors are small: more threads cost more than they bring.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy
# A process for each core; what a file's tests share is made once, in one of them. The order of the
# files is that of tests/conftest.py.
.venv/bin/python -m pytest -q --durations=10 -n auto --maxprocesses 8 --dist loadfile \
    --no-loadscope-reorder "$@"
