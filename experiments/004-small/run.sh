#!/usr/bin/env bash
# The small checkpoint, from nothing: the codecs on the world so far. What is finished is not made again, and a training
# that was stopped goes on: run it as often as needed.
#   bash experiments/004-small/run.sh [RUN]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/004-small}
bin=$PWD/.venv/bin
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000
mkdir -p "$run"

"$bin/avsim" world --level medium --shards --split validation -n 96 --out "$run/held-out"
"$bin/avsim" world --level medium --shards -n 4000 --out "$run/world"

fit() { # PART: train until the config's max_steps
  local part=$1
  [ -f "$run/$part/finished" ] && return
  OMP_NUM_THREADS=1 "$bin/avsim" fit -c configs/base.yaml -c "configs/$part.yaml" -c "$here/$part.yaml" --run "$run/$part" \
    --data.train.init_args.folder "$run/world" --data.validation.init_args.folder "$run/held-out" \
    --data.test.init_args.folder "$run/held-out" --data.test.init_args.split validation
  touch "$run/$part/finished"
}
fit video_codec &
seeing=$!
fit audio_codec
wait $seeing
