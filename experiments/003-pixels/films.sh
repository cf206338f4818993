#!/usr/bin/env bash
# Training on real videos beside the world: bash experiments/003-pixels/films.sh SHARDS SCENES [STEPS]
# SHARDS are clips of a video (experiments/001-real-film/run.sh prepares some), SCENES those of run.sh. Scored before and
# after on mixtures of two held-out shots side by side, and on the world.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
shards=$1 scenes=$2 steps=${3:-300}
export OMP_NUM_THREADS=1
fit() { # RUN STEPS ARGUMENTS...
  local run=$1 steps=$2
  shift 2
  "$PWD/.venv/bin/python" -m avsim fit -c configs/base.yaml -c configs/separation/world.yaml -c "$here/saved.yaml" \
    --run "$run" --trainer.limit_val_batches 1.0 --trainer.max_steps "$steps" --trainer.val_check_interval "$steps" "$@"
}
mkdir -p runs
sed "s#data/clips#$shards#" "$here/films.yaml" >runs/films.yaml # entries of a list have no flag
video=(-c runs/films.yaml)
world=(--data.init_args.train.init_args.source.init_args.folder "$scenes"
  --data.init_args.validation.init_args.folder "$scenes")
still=(--model.init_args.recipe.learning_rate 0 --model.init_args.recipe.matrix_learning_rate 0) # a learning rate of 0: validation alone
before=(--init avsim/small/separator)
fit runs/films-before 1 "${video[@]}" "${before[@]}" "${still[@]}"
fit runs/films-before-world 1 "${world[@]}" "${before[@]}" "${still[@]}"
fit runs/films "$steps" "${video[@]}" "${before[@]}"
fit runs/films-after-world 1 "${world[@]}" --init runs/films "${still[@]}"
