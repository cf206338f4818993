#!/usr/bin/env bash
# The fault detector, its calibration, its sensitivity, and experiment 004 under it.
#   bash experiments/012-visible-faults/run.sh [RUN]   # about an hour of one core
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
detector=$run/fault_detector_2
"$python" experiments/002-calibration/calibrate.py "$run/calibration" --metrics "visible faults" --clips 200 \
  --reference 0 --sharpness 0 --specs 1 --fault-detector "$detector/simulator/fault_detector" --codecs avsim/small
"$python" "$here/curve.py" "$run" --clips 12 --detector "$detector"
"$python" experiments/004-small/score.py small "$run/small" --count 64 --ways truth "through codecs" joint \
  --metrics "visible faults" --jobs 1
