#!/usr/bin/env bash
# Three forms of masks at an equal budget: bash experiments/003-pixels/masks.sh SCRATCH [STEPS]
# SCRATCH holds run.sh's scenes. The table is each run's last line of validation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
scratch=$1 steps=${2:-600}
export OMP_NUM_THREADS=1 PYTHONPATH=$here

fit() { # NAME ARGUMENTS...
  local name=$1
  shift
  "$PWD/.venv/bin/python" -m avsim fit -c configs/base.yaml -c configs/separation/world.yaml -c "$here/saved.yaml" \
    --data.init_args.train.init_args.source.init_args.folder "$scratch/scenes" \
    --data.init_args.validation.init_args.folder "$scratch/scenes" \
    --trainer.max_steps "$steps" --trainer.val_check_interval "$steps" --trainer.limit_val_batches 1.0 \
    --run "runs/masks-$name" "$@"
}
fit softmax-over-pixels
fit independent --model masks.IndependentSystem --model.model masks.Independent
fit competing --model.init_args.model masks.Competing
