#!/bin/bash
# An audio tower on the silent video half of the generator that ships: frozen, and with LoRA. From an empty folder
#   bash run.sh FOLDER        (two busy cores, about 2 h; STEPS, CLIPS and COUNT change it)
set -e
here=$(cd "$(dirname "$0")" && pwd) configs=$(cd "$(dirname "$0")/../../configs" && pwd)
mkdir -p "$1" && cd "$1"
[ -d models/av ] || avsim add-audio small --audio-codec small --width 96 --out models/av
avsim world --level easy -n "${CLIPS:-1500}" --shards --out data/world
avsim world --level easy -n 96 --split validation --shards --out data/held-out
avsim encode data/world --model models/av --out data/latents
avsim encode data/held-out --model models/av --out data/latents-held-out
for video in freeze lora; do
    avsim fit -c "$configs/base.yaml" -c "$configs/add_audio/small.yaml" -c "$here/steps.yaml" --init models/av \
        --model.init_args.video $video --data.init_args.held_out data/latents-held-out --trainer.max_steps "${STEPS:-200}" --run runs/$video
done
python "$here/score.py" runs/freeze runs/lora --count "${COUNT:-32}" --out scores
