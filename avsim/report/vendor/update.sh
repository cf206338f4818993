#!/bin/sh
# Fetches the JavaScript that pages hold from the npm registry: uPlot (MIT), plots of metrics over steps.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent uplot@1.6.32 && tar xzf uplot-1.6.32.tgz)
cp "$folder/package/dist/uPlot.iife.min.js" "$folder/package/dist/uPlot.min.css" .
cp "$folder/package/LICENSE" uPlot.LICENSE
