#!/usr/bin/env bash
# Make .venv in the repository's root: the pinned stack, and this package on top of it.
# Run it as often as you like: what is installed stays, what an interruption left out is added.
#
# PYTHON (default: the first of python3, python3.12, python3.11, python3.10 that fits) makes the
# environment; CUDA_VISIBLE_DEVICES="" sets up for the CPU on a machine with a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# "===" refuses a CPU-only build (2.13.0+cpu), which torchvision 0.28.0 does not fit.
TORCH=(torch===2.13.0 torchvision==0.28.0)
CUDA=13    # what this torch is built with: nvcc must be of the same major version
DISK_GB=8  # the environment takes 6
TMP_GB=3   # downloads before they are unpacked
VENV=.venv
STAMP=$VENV/pd_mmdet.stamp

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
            2> /dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.10, 3.11 or 3.12 is needed; none of these is: ${PYTHON:-python3 python3.12 python3.11 python3.10}." \
        'Install one (apt-get install python3.11, dnf install python3.11, conda create -n py python=3.11)' \
        'and name it: PYTHON=/path/to/python3.11 bash tools/setup_env.sh'
}

check_python() {
    "$1" -c 'import ensurepip, venv' 2> /dev/null || fail \
        "$1 cannot make environments: its module venv or ensurepip is missing." \
        'Install it: apt-get install python3-venv (Debian and Ubuntu ship it apart).'
}

check_compiler() {
    local compiler=${CXX:-c++} headers
    command -v "$compiler" > /dev/null || fail \
        "there is no C++ compiler ($compiler), and MMCV's operators are compiled here." \
        'Install one: apt-get install g++, or dnf install gcc-c++'
    echo '#include <optional>' | "$compiler" -std=c++17 -fsyntax-only -x c++ - 2> /dev/null || fail \
        "$compiler does not compile C++17. Install a newer one (g++ 9 or later), or name it in CXX."
    headers=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -f "$headers/Python.h" ] || fail \
        "the headers of $1 are missing: no $headers/Python.h." \
        'Install them: apt-get install python3-dev, or dnf install python3-devel (for that very version)'
}

check_disk() {
    local folder=$1 wanted=$2 free
    free=$(($(df -Pk "$folder" | awk 'NR == 2 {print $4}') / 1024))
    [ "$free" -ge "$wanted" ] || fail \
        "$wanted MB are needed in $folder, and $free MB are free. Make room${3:-}."
}

has_gpu() {
    [ "${CUDA_VISIBLE_DEVICES-all}" != '' ] && nvidia-smi -L > /dev/null 2>&1
}

check_cuda() {
    local home=${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}} nvcc release found
    nvcc=$home/bin/nvcc
    if [ -z "${CUDA_HOME:-${CUDA_PATH:-}}" ]; then
        nvcc=$(command -v nvcc || echo "$nvcc")
    fi
    release=$("$nvcc" --version 2> /dev/null | sed -n 's/.*release \([0-9]*\).*/\1/p') || true
    found=${release:+is of CUDA $release}
    [ "$release" = "$CUDA" ] || fail \
        "this machine has a GPU, and MMCV's operators are compiled for it by nvcc of CUDA $CUDA." \
        "Here $nvcc ${found:-is missing}." \
        "Install NVIDIA's package cuda-toolkit-$CUDA-0 and set CUDA_HOME (/usr/local/cuda-$CUDA.0)," \
        'or train on the CPU: set CUDA_VISIBLE_DEVICES=""'
}

# How many compilers may run at once: one a core, and each has 2 GB.
compile_jobs() {
    local cores memory
    cores=$(nproc)
    memory=$(($(awk '/MemAvailable/ {print $2}' /proc/meminfo) / 2000000))
    echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
}

install_all() {
    local python=$VENV/bin/python
    "$python" -m pip --version > /dev/null 2>&1 || "$1" -m venv --clear "$VENV"
    echo 'setup: PyTorch and the tools to compile with (2.5 GB to download)'
    "$python" -m pip install 'setuptools>=80' wheel packaging ninja "${TORCH[@]}"
    echo 'setup: MMCV, MMEngine, MMDetection, MMPretrain and this package.'
    echo 'setup: pip compiles MMCV against this PyTorch: about 11 minutes on 2 cores, longer for a'
    echo 'setup: GPU, and only once, since pip keeps what it built. It says little meanwhile.'
    MAX_JOBS=${MAX_JOBS:-$(compile_jobs)} PATH="$PWD/$VENV/bin:$PATH" \
        "$python" -m pip install --no-build-isolation --editable '.[cls,dev]'
}

# The folder is part of the stamp: an editable package remembers where it lies.
stamp=$(cat requirements.txt pyproject.toml setup.py tools/setup_env.sh | cksum)" $PWD"
if [ "$(cat "$STAMP" 2> /dev/null)" != "$stamp" ]; then
    python=$(find_python)
    check_python "$python"
    check_compiler "$python"
    held=$( (du -sm "$VENV" 2> /dev/null || echo 0) | cut -f1)
    check_disk . $((DISK_GB * 1024 - held))
    check_disk "${TMPDIR:-/tmp}" $((TMP_GB * 1024)) ', or set TMPDIR to a folder that has it'
    if has_gpu; then
        check_cuda
    fi
    install_all "$python"
    echo "$stamp" > "$STAMP"
fi
"$VENV/bin/python" tools/check_env.py
