#!/usr/bin/env bash
# Couplings compared: data, 4 x 3 trainings of equal FLOPs, two at a time, and the table of RESULT.md.
#   STEPS=3000 bash experiments/006-couplings/run.sh
# An interrupted training resumes; other STEPS are other runs. `none` has the weights of `joint`, and levels of its
# own (none.yaml).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
steps=${STEPS:-3000}
run=runs/006-couplings avsim=$PWD/.venv/bin/avsim python=$PWD/.venv/bin/python
export OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000
out=$run/$steps # the runs
mkdir -p "$out"

for part in "train 12000 train" "held-out 256 validation"; do
  read -r name count split <<<"$part"
  "$avsim" world --shards -n "$count" --level easy --split "$split" --out "$run/$name"
  "$avsim" encode "$run/$name" --video-codec avsim/small/video_codec --audio-codec avsim/small/audio_codec --out "$run/latents/$name"
done

train() { # COUPLING SEED STEPS
  local coupling=$1 more=()
  [ "$coupling" = none ] && coupling=joint && more=(-c "$here/none.yaml")
  [ -f "$out/$1-$2/finished" ] && return
  "$avsim" fit -c configs/base.yaml -c configs/generator.yaml -c "configs/coupling/$coupling.yaml" -c "$here/couplings.yaml" "${more[@]}" \
    --seed "$2" --trainer.max_steps "$3" --trainer.val_check_interval "$3" --run "$out/$1-$2"
  touch "$out/$1-$2/finished"
}
export -f train
export out avsim here
"$python" "$here/budget.py" "$steps" | tee "$out/budget.txt" |
  while read -r coupling steps _; do for seed in 0 1 2; do echo "$coupling $seed $steps"; done; done |
  sort -k2,2n | xargs -P 2 -L 1 bash -c 'set -euo pipefail; train "$@"' _
"$python" "$here/score.py" "$out"
