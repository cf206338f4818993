#!/usr/bin/env bash
# Calibrate every scorer on the world: about 20 minutes on two cores for 320 clips.
#   bash experiments/002-calibration/run.sh [RUN]
# The detectors, the separators and the codecs are those that ship, in avsim/small; YAMNET=1 has clips embedded by
# YAMNet too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/002-calibration}
small=avsim/small
options=()
for part in sound picture offset separator; do
  [ -d "$small/$part" ] && options+=("--$part" "$small/$part")
done
[ -d "$small/sound_of_pixels" ] && options+=(--second "$small/sound_of_pixels")
[ -d "$small/video_codec" ] && options+=(--codecs "$small")
[ -n "${YAMNET:-}" ] && options+=(--yamnet)
.venv/bin/python "$here/calibrate.py" "$run" "${options[@]}" --commit
