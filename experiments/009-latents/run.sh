#!/usr/bin/env bash
# What latents a small generator can learn: codecs that differ in one thing each, one generator on each, judged by what
# it generates. Finished stages are skipped, an interrupted training resumes.
#   bash experiments/009-latents/run.sh FOLDER      # about 1.4 h of a core a variant
#   VARIANTS="plain-16 residual-16" CODEC_STEPS=300 STEPS=600 CLIPS=400 bash experiments/009-latents/run.sh FOLDER
# A variant: residual or plain latents, channels, then optionally -t2 (time stride 2), -n0 (no noise on the decoder's
# latents), -kl (a KL term), -s1 (another seed), -warm (a generator of `small`'s size that starts from its weights).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) configs=$(cd "$(dirname "$0")/../../configs" && pwd)
mkdir -p "$1" && cd "$1"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
clips=${CLIPS:-3000} codec_steps=${CODEC_STEPS:-1500} steps=${STEPS:-3000}
variants=${VARIANTS:-residual-64 plain-64 residual-16 plain-16 plain-8 plain-32 plain-16-t2 plain-16-n0 plain-16-kl}

world=(--level medium --scene drop --place "national park" --shards)
avsim world "${world[@]}" -n "$clips" --out data/train
avsim world "${world[@]}" -n "${HELD_OUT:-96}" --split validation --out data/held-out

for variant in $variants; do
  [ -f "$variant/finished" ] && continue
  IFS=- read -r kind channels options <<<"$variant"
  codec=(--model.model.init_args.channels "$channels" --model.model.init_args.residual "$([ "$kind" = residual ] && echo true || echo false)")
  of_generator=$steps seed=0 generator=(-c "$here/generator.yaml")
  for option in ${options//-/ }; do
    case $option in
      t2) codec+=(--model.model.init_args.time_stride 2) of_generator=$((steps * 53 / 100)) ;; # 1.9 x the tokens
      n0) codec+=(--model.init_args.noise_level 0 --model.init_args.noise 0.01) ;;
      kl) codec+=(--model.init_args.kl_weight 0.01) ;;
      s1) seed=1 ;;
      warm) generator=(-c "$here/warm.yaml" --init small) ;;
      *) echo "$variant: unknown option $option" >&2 && exit 2 ;;
    esac
  done
  avsim fit -c "$configs/base.yaml" -c "$configs/video_codec.yaml" -c "$here/codec.yaml" "${codec[@]}" --seed "$seed" \
    --trainer.max_steps "$codec_steps" --trainer.val_check_interval "$((codec_steps < 500 ? codec_steps : 500))" \
    --run "$variant/codec"
  for part in train held-out; do
    avsim encode "data/$part" --video-codec "$variant/codec" --audio-codec small --out "$variant/latents/$part"
  done
  avsim fit -c "$configs/base.yaml" -c "$configs/generator.yaml" "${generator[@]}" --seed "$seed" \
    --model.model.init_args.video_channels "$channels" --model.video_codec "$variant/codec" --model.audio_codec small \
    --data.folder "$variant/latents/train" --data.held_out "$variant/latents/held-out" \
    --trainer.max_steps "$of_generator" --trainer.val_check_interval "$((of_generator < 500 ? of_generator : 500))" \
    --run "$variant/generator"
  python "$here/falls.py" "$variant/falls" --model "$variant/generator" --seeds "${SEEDS:-8}"
  touch "$variant/finished"
done
python "$here/table.py" $variants
