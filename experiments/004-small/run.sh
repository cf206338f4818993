#!/usr/bin/env bash
# All that ships, from nothing, by `avsim` commands alone. Finished stages are skipped and an interrupted training
# resumes: run it as often as needed.
#   bash experiments/004-small/run.sh [RUN]            # days of cores; the generator and its student need a GPU
#   REHEARSAL=1 bash experiments/004-small/run.sh RUN  # every stage on two steps and a few clips, some minutes
# `$RUN/small` is a model for `avsim generate --checkpoint`. Each stage names its part of avsim/small and how today's
# weights differ: they were trained in several sessions, by loops that are gone (LOG.md, 2026-11-29).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/004-small}
avsim=${AVSIM:-$PWD/.venv/bin/avsim}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000
mkdir -p "$run"
tiny=() few=() replay=()
if [ -n "${REHEARSAL:-}" ]; then
  tiny=(-c configs/size/tiny.yaml --compile false)
  few=(--data.batch_size 2 --data.workers 0)
  replay=(--data.lengths '[{seconds: 1.0, batch_size: 2, capacity: 16}]' --data.clips_per_step 0 --data.workers 0)
  replay+=(--data.minimum 16 --data.held_out 2)
fi
count() { if [ -n "${REHEARSAL:-}" ]; then echo 4; else echo "$1"; fi; }

world() { # FOLDER COUNT OPTIONS
  "$avsim" world --shards -n "$(count "$2")" "${@:3}" --out "$run/$1"
}
fit() { # RUN CONFIGS -- OPTIONS
  local name=$1 configs=(-c configs/base.yaml)
  shift
  while [ "$1" != -- ]; do configs+=(-c "$1") && shift; done
  [ -f "$run/$name/finished" ] && return
  "$avsim" fit "${configs[@]}" "${tiny[@]}" --run "$run/$name" "${@:2}"
  touch "$run/$name/finished"
}
clips=(--data.validation.init_args.folder "$run/held-out")
clips+=(--data.train.init_args.sources "[{class_path: avsim.data.sources.ShardSource, init_args: {folder: $run/medium}},\
 {class_path: avsim.data.sources.ShardSource, init_args: {folder: $run/full}}]")
codecs=(--model.video_codec "$run/video_codec" --model.audio_codec "$run/audio_codec")

# 1. Clips for the codecs: four of `medium` to one of `full`.
world held-out 96 --level medium --split validation
world medium 24000 --level medium
world full 1000 --level full

# 2. Codecs -> avsim/small/video_codec, audio_codec. The decoders are trained further with fixed latents. Today's
#    decoders had 3,100 such steps beside a generator's training; audio levels were then raised by 0.56 dB, not done here.
fit video_codec_1 configs/video_codec.yaml "$here/world.yaml" "$here/video_codec.yaml" -- "${clips[@]}" "${few[@]}"
fit audio_codec_1 configs/audio_codec.yaml "$here/world.yaml" "$here/audio_codec.yaml" -- "${clips[@]}" "${few[@]}"
fit video_codec configs/video_codec.yaml "$here/world.yaml" "$here/video_decoder.yaml" -- "${clips[@]}" "${few[@]}" \
  --init "$run/video_codec_1"
fit audio_codec configs/audio_codec.yaml "$here/world.yaml" "$here/audio_decoder.yaml" -- "${clips[@]}" "${few[@]}" \
  --init "$run/audio_codec_1"
mkdir -p "$run/both/simulator"
ln -sfn "$(realpath "$run/video_codec/simulator/video_codec")" "$run/both/simulator/video_codec"
ln -sfn "$(realpath "$run/audio_codec/simulator/audio_codec")" "$run/both/simulator/audio_codec"

# 3. Perception -> avsim/small/audio_detector, video_detector, fault_detector, sync_model. Half of the clips go through the codecs.
#    Today's video detector had 5,000 further steps, three clips of `medium` to one of `full`
#    (experiments/005-perception/video_detector_further.yaml).
fit perception-audio_detector configs/perception/audio_detector.yaml -- --model.codecs "$run/both" "${few[@]}" \
  --data.train.init_args.config medium --data.validation.init_args.config medium
fit perception-video_detector configs/perception/video_detector.yaml -- --model.codecs "$run/both" "${few[@]}" \
  --data.train.init_args.config '[medium, medium, medium, full]' --data.validation.init_args.config medium
fit fault_detector configs/perception/fault_detector.yaml -- --model.codecs "$run/both" \
  --model.detector "$run/perception-video_detector" "${few[@]}"
fit sync_model configs/perception/sync_model.yaml -- --model.detectors "$run" "${few[@]}"

# 4. Separator -> avsim/small/separator: on the world, then half of the scenes through the codecs.
fit separator_1 configs/separation/world.yaml -- "${few[@]}"
fit separator configs/separation/world.yaml experiments/003-pixels/coded.yaml -- "${codecs[@]}" "${few[@]}" \
  --init "$run/separator_1"

# 5. Generator -> avsim/small/generator, from nothing. Today's continued four earlier ones, for 16,600 steps.
fit generator configs/generator.yaml "$here/generator.yaml" -- "${codecs[@]}" "${replay[@]}" \
  --data.video_codec "$run/video_codec" --data.audio_codec "$run/audio_codec"

# 6. Student -> avsim/small/student. Today's continued an earlier teacher's student, for 5,900 steps.
fit student configs/student.yaml "$here/student.yaml" -- "${codecs[@]}" "${replay[@]}" --model.teacher "$run/generator" \
  --model.sync_model "$run/sync_model" --data.video_codec "$run/video_codec" --data.audio_codec "$run/audio_codec"

# 7. All of it in one folder.
mkdir -p "$run/small"
for part in student/simulator/{generator,student,video_codec,audio_codec} separator/simulator/separator \
  perception-audio_detector/simulator/audio_detector \
  perception-video_detector/simulator/video_detector fault_detector/simulator/fault_detector \
  sync_model/simulator/sync_model; do
  cp -r "$run/$part" "$run/small/"
done
echo "$run/small"
