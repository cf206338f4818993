#!/usr/bin/env bash
# Sound for a silent video model, from a published list of films to scores: VGGSound (2004.14368) and Wan 2.1 1.3B.
#   experiments/recipes/add_audio.sh FILMS vggsound.csv WORK
# FILMS holds the clips that the list names, ID_000030.mp4 (start in seconds), as one's own downloader left them; the
# list's labels are the captions. Every step goes on where it was stopped. Run it from the root of the repository.
# Other models, sizes and lengths by the variables below; FIT has further arguments of avsim fit. What a step costs is
# estimated in the config's header; tests/test_recipes.py runs all of it on tiny models.
set -euo pipefail
films=$1 list=$2 work=$3
model=${MODEL:-Wan-AI/Wan2.1-T2V-1.3B-Diffusers}
codec=${CODEC:-stabilityai/stable-audio-open-1.0}
config=${CONFIG:-configs/add_audio/wan-1.3b.yaml}
size=${SIZE:-832x480} seconds=${SECONDS_OF_A_CLIP:-5} fps=${FPS:-16} rate=${RATE:-44100}
width=${WIDTH:-1024} count=${COUNT:-64} steps=${STEPS:-50}
read -ra fit <<<"${FIT:-}"

mkdir -p "$work"
[ -f "$work/split.json" ] || avsim split "$list" --out "$work/split.json"
avsim prepare "$films" --split "$work/split.json" --size "$size" --seconds "$seconds" --fps "$fps" \
  --sample-rate "$rate" --out "$work/clips"
[ -d "$work/codec" ] || avsim import "$codec" --part audio_codec --out "$work/codec"
[ -d "$work/model" ] || avsim add-audio "$model" --audio-codec "$work/codec" --width "$width" --out "$work/model"
avsim encode "$work/clips" --model "$work/model" --out "$work/latents"
avsim fit -c configs/base.yaml -c "$config" --init "$work/model" --run "$work/run" --data.folder "$work/latents" \
  "${fit[@]}"

# A sound for the first COUNT films of the list's test part, which nothing was trained on, beside the true ones.
mkdir -p "$work/generated" "$work/true"
python - "$work/split.json" "$count" <<'PYTHON' >"$work/test.txt"
import json, sys
sources = json.load(open(sys.argv[1]))["parts"]["test"].values()
for name, label in sorted(tuple(entry) for entries in sources for entry in entries)[: int(sys.argv[2])]:
    print(name, label, sep="\t")
PYTHON
while IFS=$'\t' read -r name label; do
  film=$(find "$films" -name "$name.*" | head -n 1)
  [ -n "$film" ] || continue
  [ -e "$work/true/$name.mp4" ] || cp "$film" "$work/true/$name.mp4"
  [ -e "$work/generated/$name.mp4" ] || avsim generate --checkpoint "$work/run" --video "$film" --prompt "$label" \
    --seconds "$seconds" --size "$size" --steps "$steps" --out "$work/generated/$name.mp4" </dev/null
done <"$work/test.txt"
avsim evaluate "$work/generated" --reference "$work/true" --out "$work/report"
