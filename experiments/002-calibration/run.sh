#!/usr/bin/env bash
# Calibrate every metric on the world: about 20 minutes on two cores for 320 clips.
#   bash experiments/002-calibration/run.sh [RUN]
# Detectors, separator and codecs are those of avsim/small; YAMNET=1 adds the fidelity metric of YAMNet.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/002-calibration}
small=avsim/small
options=()
for part in audio_detector video_detector sync_model separator fault_detector; do
  [ -d "$small/$part" ] && options+=("--${part//_/-}" "$small/$part")
done
[ -d "$small/sound_of_pixels" ] && options+=(--second "$small/sound_of_pixels")
[ -d "$small/video_codec" ] && options+=(--codecs "$small")
[ -n "${YAMNET:-}" ] && options+=(--yamnet)
.venv/bin/python "$here/calibrate.py" "$run" "${options[@]}" --commit
