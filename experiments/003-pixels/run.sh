#!/usr/bin/env bash
# From the world to every number of RESULT.md: two hours of core time, half an hour for the baseline, and as much for
# scores.
#   bash experiments/003-pixels/run.sh [SCRATCH]
# An interrupted training resumes, and so does scoring. SCRATCH needs 18 GB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
scratch=${1:-/tmp/pixels}
python=$PWD/.venv/bin/python
# Without glibc's trimming, training on one core is a third faster.
export OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000

"$python" "$here/render.py" 10000 150 2 "$scratch/scenes" # existing scenes are kept

fit() { # NAME CONFIG
  "$python" -m avsim fit -c configs/base.yaml -c "configs/separation/$2.yaml" -c "$here/saved.yaml" \
    --data.init_args.train.init_args.source.init_args.folder "$scratch/scenes" \
    --data.init_args.validation.init_args.folder "$scratch/scenes" --run "runs/$1"
}
fit separator world &
training=$!
fit sound_of_pixels sound_of_pixels
wait $training # fails if the training failed

separator=runs/separator/simulator/separator baseline=$scratch/sound_of_pixels
"$python" "$here/soft.py" runs/sound_of_pixels/simulator/separator "$baseline" # masks as they are, not 0 or 1
for level in medium full; do
  options=$([ $level = medium ] && echo --count 300 || echo --count 100 --few 25 --bss 0 --controlled 0)
  # shellcheck disable=SC2086
  score() { "$python" "$here/score.py" "$scratch/$level" "$@" --level $level $options --jobs 2; }
  score references
  score separator $separator
  score "Sound of Pixels" "$baseline"
  "$python" "$here/table.py" "$scratch/$level" | tee "$scratch/$level.md"
done
for model in $separator "$baseline"; do "$python" "$here/checks.py" "$model"; done | tee "$scratch/checks.txt"
