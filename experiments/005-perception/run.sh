#!/usr/bin/env bash
# From the world to every number of RESULT.md, on one core. A training that was stopped goes on.
#   bash experiments/005-perception/run.sh [SCRATCH]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
lessons=${1:-/tmp/lessons}
python=$PWD/.venv/bin/python
export OMP_NUM_THREADS=1

[ -f "$lessons/medium/index.json" ] || "$python" "$here/render.py" medium 1200 160 2 "$lessons/medium"
[ -f "$lessons/longer/index.json" ] || "$python" "$here/render.py" medium 800 120 3 "$lessons/longer"

fit() { # NAME LESSONS ARGUMENTS...
  local name=$1 from=$2
  shift 2
  "$python" -m avsim fit -c configs/base.yaml -c "configs/perception/$name.yaml" -c "$here/saved.yaml" \
    --data.init_args.train.init_args.folder "$from" --data.init_args.validation.init_args.folder "$from" \
    --run "runs/perception-$name" "$@"
}
fit sound "$lessons/medium" --trainer.max_steps 400 --trainer.val_check_interval 200
fit picture "$lessons/medium" --trainer.max_steps 500 --trainer.val_check_interval 250
for level in easy medium; do
  "$python" "$here/score.py" runs $level 40 | tee "runs/perception-$level.txt"
done
fit offset "$lessons/longer" --trainer.max_steps 250 --trainer.val_check_interval 100 --trainer.limit_val_batches 10 \
  --model.init_args.detectors runs --model.init_args.tune false \
  --model.init_args.recipe.learning_rate 3e-3 --model.init_args.recipe.warmup_steps 20
for level in easy medium; do
  "$python" "$here/shifts.py" runs $level 40 | tee -a "runs/perception-$level.txt"
done
