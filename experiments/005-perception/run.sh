#!/usr/bin/env bash
# From the world to every number of RESULT.md, about 80 minutes of one core, and of two for the last training. An
# interrupted training resumes.
#   bash experiments/005-perception/run.sh [SCRATCH]
# Half of the clips go through the codecs that ship, so that the detectors are trained on decoded clips too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
samples=${1:-/tmp/samples}
python=$PWD/.venv/bin/python
export OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000

[ -f "$samples/medium/index.json" ] || "$python" "$here/render.py" medium 4000 200 2 "$samples/medium"
[ -f "$samples/longer/index.json" ] || "$python" "$here/render.py" medium 2000 120 3 "$samples/longer"

fit() { # NAME SAMPLES ARGUMENTS...
  local name=$1 from=$2
  shift 2
  "$python" -m avsim fit -c configs/base.yaml -c "configs/perception/$name.yaml" -c "$here/saved.yaml" \
    --data.init_args.train.init_args.folder "$from" --data.init_args.validation.init_args.folder "$from" \
    --run "runs/perception-$name" "$@"
}
mkdir -p runs/small && ln -sfn "$PWD/avsim/small" runs/small/simulator
fit audio_detector "$samples/medium" --trainer.max_steps 3000 --model.init_args.codecs runs/small
fit video_detector "$samples/medium" --trainer.max_steps 2700 --model.init_args.codecs runs/small \
  --model.init_args.weights '{"centre": 2.0, "event": 2.0}'
for level in medium easy; do
  "$python" "$here/score.py" runs $level 120 | tee "runs/perception-$level.txt"
done
fit sync_model "$samples/longer" --trainer.max_steps 1400 --trainer.limit_val_batches 15 --model.init_args.detectors runs
for level in medium easy; do
  "$python" "$here/shifts.py" runs $level 120 | tee -a "runs/perception-$level.txt"
done

# The video detector is trained further; the sync model keeps the encoders that it was initialised with.
mkdir -p runs/further && ln -sfn "$PWD/runs/perception-audio_detector" runs/further/perception-audio_detector
"$python" -m avsim fit -c configs/base.yaml -c configs/perception/video_detector.yaml -c "$here/video_detector_further.yaml" \
  --init runs/perception-video_detector --run runs/further/perception-video_detector
for level in medium easy full; do
  "$python" "$here/score.py" runs/further $level 120 | tee "runs/further/$level.txt"
done
