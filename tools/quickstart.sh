#!/usr/bin/env bash
# Set up, make the built-in data, then distil a small network that reads small images.
#
#   bash tools/quickstart.sh [--task detection|classification] [options of train_tas.py]
#
# Trains a teacher on large images, an assistant, the student on small images, and the same student
# undistilled to compare with: 15 to 20 minutes on 2 CPU cores after the set-up for detection (the
# default), 10 to 15 for classification. Ends with a table; that, a picture, the logs and the
# checkpoints are in work_dirs/quickstart or work_dirs/quickstart_classification. Run it again to go
# on after an interruption.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
task=detection
if [ "${1:-}" = --task ]; then
    task=${2:-}
    shift $(($# < 2 ? $# : 2))
fi
case $task in
    detection) recipe=retinanet/retinanet_r34-r18_glyphs_k2 ;;
    classification) recipe=resnet/resnet_r34-r18_glyphs_k2 ;;
    *)
        echo "--task ${task:-(nothing)}: detection or classification" >&2
        exit 2
        ;;
esac
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit
fi
bash tools/setup_env.sh

export GLYPHS_ROOT=data/glyphs GLYPHS_CLS_ROOT=data/glyphs_cls
if [ "$task" = detection ]; then
    data=$GLYPHS_ROOT work_dir=work_dirs/quickstart made=annotations/val.json
else
    data=$GLYPHS_CLS_ROOT work_dir=work_dirs/quickstart_classification made=info.json
fi
if [ ! -f "$data/$made" ]; then
    .venv/bin/python tools/dataset_converters/make_glyphs.py --task "$task" --out "$data"
fi
.venv/bin/python tools/train_tas.py "configs/$recipe" --baseline --work-dir "$work_dir" "$@"
