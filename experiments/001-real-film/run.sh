#!/usr/bin/env bash
# From the video to every number of RESULT.md, on two cores. Finished stages are skipped, and an interrupted training
# resumes: run it as often as needed.
#   bash experiments/001-real-film/run.sh [RUN]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/001-real-film}
bin=$PWD/.venv/bin
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000
mkdir -p "$run"

video=$run/bbb.mp4
if [ ! -f "$video" ]; then # Big Buck Bunny, (c) Blender Foundation, CC-BY 3.0, as moviepy's source distribution holds it
  "$bin/pip" download -q --no-deps --no-build-isolation --no-binary moviepy moviepy==2.2.1 -d "$run/moviepy" ||
    "$bin/pip" download -q --no-deps --no-binary moviepy moviepy==2.2.1 -d "$run/moviepy"
  "$bin/python" "$here/unpack.py" "$run/moviepy/moviepy-2.2.1.tar.gz" "$video"
fi

timed() { # NAME COMMAND...: run it, and note its wall seconds in RUN/seconds.csv
  local name=$1 start=$SECONDS
  shift
  "$@"
  echo "$name,$((SECONDS - start))" >>"$run/seconds.csv"
}
fit() { # PART [OPTIONS...]: train until the config's max_steps
  local part=$1
  shift
  [ -f "$run/$part/finished" ] && return
  timed "$part" "$bin/avsim" fit -c configs/base.yaml -c "configs/$part.yaml" -c "$here/$part.yaml" \
    --run "$run/$part" "$@"
  touch "$run/$part/finished"
}
from() { # KEY: options that point all three splits at the video's shards
  local split
  for split in train validation test; do echo "--data.$split.init_args.$1" "$run/shards"; done
}
one_core() { OMP_NUM_THREADS=1 "$@"; } # two small trainings on a core each are faster than one after the other

[ -f "$run/shards/index.json" ] || timed prepare "$bin/avsim" prepare "$video" --out "$run/shards" --seconds 2 --stride 1
one_core fit video_codec $(from folder) &
seeing=$!
one_core fit audio_codec $(from folder)
wait $seeing
[ -f "$run/latents/index.json" ] || timed encode "$bin/avsim" encode "$run/shards" --video-codec "$run/video_codec" \
  --audio-codec "$run/audio_codec" --out "$run/latents"
one_core fit generator --data.folder "$run/latents" --model.video_codec "$run/video_codec" \
  --model.audio_codec "$run/audio_codec" &
drawing=$!
one_core fit separator $(from source.init_args.folder)
wait $drawing
timed evaluate "$bin/python" "$here/evaluate.py" "$run"
