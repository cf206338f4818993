#!/bin/bash
# AV-Truth on the shipped model, its baselines and avsim's metrics: bash run.sh FOLDER (two cores, about half an hour).
set -e
mkdir -p "$1" && cd "$1"
avsim bench make -n "${PAIRS:-6}" --out bench
avsim bench score --bench bench --baseline truth codec shuffled silence triggered model prompted --out scores
avsim bench make -n "${METRIC_PAIRS:-2}" --seed 1 --out bench-metrics
avsim bench metrics --bench bench-metrics --metric "synchrony of events" space "physics, 1 identity and material" \
    "physics, 3 place and decay" text --out metrics
