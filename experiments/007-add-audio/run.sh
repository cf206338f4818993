#!/bin/bash
# An audio tower on the silent video half of the generator that ships: frozen, then LoRA from there. From an empty folder
#   bash run.sh FOLDER        (about 1.5 h of one core; STEPS, LORA_STEPS, CLIPS and COUNT change it)
set -e
here=$(cd "$(dirname "$0")" && pwd) configs=$(cd "$(dirname "$0")/../../configs" && pwd)
mkdir -p "$1" && cd "$1"
[ -d models/av ] || avsim add-audio small --audio-codec small --width 128 --fusion to-audio --out models/av
avsim world --level easy -n "${CLIPS:-2000}" --shards --out data/world
avsim world --level easy -n 96 --split validation --shards --out data/held-out
avsim encode data/world --model models/av --out data/latents
avsim encode data/held-out --model models/av --out data/latents-held-out
fit() { # MODE FROM STEPS OPTIONS
    avsim fit -c "$configs/base.yaml" -c "$configs/add_audio/small.yaml" -c "$here/steps.yaml" --init "$2" \
        --model.init_args.video "$1" --data.init_args.held_out data/latents-held-out --trainer.max_steps "$3" \
        --run "runs/$1" "${@:4}"
}
fit freeze models/av "${STEPS:-2500}"
fit lora runs/freeze "${LORA_STEPS:-700}" --model.init_args.recipe.learning_rate 1e-3 --trainer.val_check_interval 350
python "$here/score.py" runs/freeze runs/lora --count "${COUNT:-96}" --out scores
