#!/usr/bin/env bash
# Calibrate every judge on the world: about 20 minutes on two cores for 320 clips.
#   bash experiments/002-calibration/run.sh [RUN]
# DETECTORS (default runs/) holds perception-{sound,picture,offset}, and separator and sound_of_pixels where they
# are trained; CODECS, if set, is a run with both codecs; YAMNET=1 has clips embedded by YAMNet too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
run=${1:-runs/002-calibration}
detectors=${DETECTORS:-runs}
options=()
for part in sound picture offset; do
  folder=$detectors/perception-$part/simulator/$part
  [ -d "$folder" ] && options+=("--$part" "$folder")
done
[ -d "$detectors/separator/simulator/separator" ] && options+=(--separator "$detectors/separator/simulator/separator")
[ -d "$detectors/sound_of_pixels/simulator/separator" ] && options+=(--second "$detectors/sound_of_pixels/simulator/separator")
[ -n "${YAMNET:-}" ] && options+=(--yamnet)
[ -n "${CODECS:-}" ] && options+=(--codecs "$CODECS")
.venv/bin/python "$here/calibrate.py" "$run" "${options[@]}" --commit
