#!/usr/bin/env bash
# The small checkpoint, from nothing: clips of the world, codecs, latents, generator, its pupil. What is finished is
# not made again, and a training that was stopped goes on: run it as often as needed, for as long as there is time.
#   bash experiments/004-small/run.sh
# The generator of a later sitting starts from what ships (INIT=avsim/small/generator; its codecs must then be
# those that ship, VIDEO=avsim/small/video_codec AUDIO=avsim/small/audio_codec).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=runs/004-small
avsim=$PWD/.venv/bin/avsim
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000
mkdir -p "$run"

world() { # FOLDER COUNT OPTIONS
  "$avsim" world --shards -n "$2" "${@:3}" --out "$run/$1"
}
world held-out 96 --level medium --split validation
world medium 24000 --level medium
world short 1500 --level medium --seconds 1 --seed 11
world long 1500 --level medium --seconds 4 --seed 12
world full 1000 --level full

codec() { # PART RUN OPTIONS
  [ -f "$run/$2/finished" ] && return
  OMP_NUM_THREADS=1 "$avsim" fit -c configs/base.yaml -c "configs/$1.yaml" -c "$here/world.yaml" -c "$here/$2.yaml" \
    --run "$run/$2" "${@:3}"
  touch "$run/$2/finished"
}
video=${VIDEO:-$run/video_codec} audio=${AUDIO:-$run/audio_decoder}
[ -n "${VIDEO:-}" ] || codec video_codec video_codec &
seeing=$!
if [ -z "${AUDIO:-}" ]; then
  codec audio_codec audio_codec
  codec audio_codec audio_decoder --init "$run/audio_codec"
fi
wait $seeing

for clips in held-out short long medium; do
  "$avsim" encode "$run/$clips" --video-codec "$video" --audio-codec "$audio" --out "$run/latents/$clips"
done
"$avsim" fit -c configs/base.yaml -c configs/generator.yaml -c "$here/generator.yaml" --run "$run/generator" \
  --model.video_codec "$video" --model.audio_codec "$audio" ${INIT:+--init "$INIT"}
"$avsim" fit -c configs/base.yaml -c configs/pupil.yaml -c "$here/pupil.yaml" --run "$run/pupil" \
  --model.teacher "$run/generator" --model.video_codec "$video" --model.audio_codec "$audio"
[ -d "$run/pupil/simulator/picture" ] || cp -r avsim/small/picture "$run/pupil/simulator/" # eyes, for what has no prompt
step=$(grep -o '"step": [0-9]*' "$run/pupil/simulator/pupil/config.json" | grep -o '[0-9]*')
"$PWD/.venv/bin/python" "$here/score.py" "$run/pupil" "$run/score-$step"
