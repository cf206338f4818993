#!/usr/bin/env bash
# The fault detector, its calibration, its sensitivity, and experiment 004 under it.
#   bash experiments/012-visible-faults/run.sh [RUN]   # about two hours of one core
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/012-visible-faults}
python=.venv/bin/python
.venv/bin/avsim fit -c configs/base.yaml -c configs/perception/fault_detector.yaml --run "$run/perception-fault_detector"
# Today's weights were trained further, on other scenes, of which those that fall or are struck had their faults first.
.venv/bin/avsim fit -c configs/base.yaml -c configs/perception/fault_detector.yaml --run "$run/fault_detector_2" \
  --init "$run/perception-fault_detector" --seed 1 --trainer.max_steps 420 --trainer.val_check_interval 420 \
  --model.init_args.recipe.learning_rate 2.0e-3
before=$run/fault_detector_2
for seed in 2 3; do # half of the clips through the codec, half of those hedged
  detector=$run/fault_detector_$((seed + 1))
  .venv/bin/avsim fit -c configs/base.yaml -c configs/perception/fault_detector.yaml --run "$detector" --init "$before" \
    --seed "$seed" --trainer.max_steps 2400 --trainer.val_check_interval 600 --data.workers 0 \
    --model.init_args.recipe.learning_rate 2.0e-3 --model.init_args.recipe.decay_start 0.4
  before=$detector
done
"$python" experiments/002-calibration/calibrate.py "$run/calibration" --metrics "visible faults" --clips 200 --faulty 64 \
  --reference 0 --sharpness 0 --specs 1 --fault-detector "$detector/simulator/fault_detector" --codecs avsim/small
"$python" "$here/curve.py" "$run" --clips 12 --detector "$detector"
"$python" experiments/004-small/score.py small "$run/small" --count 64 --ways truth "through codecs" joint \
  --metrics "visible faults" --jobs 1
