"""Metrics of video and audio, calibrated on synthetic clips with exact truth before they are used.

A `ClipScorer` is a `torchmetrics.Metric` of plain values (`grounding`, `space`, `events`, `physics`,
`integrity`, `text`, `fidelity`, `memorization`). A `Metric` computes those values from what
detectors find in a clip (`features`). The `MetricSuite` runs all metrics, and a `Calibration` states for
which clips, and against which corruptions, a metric is valid.
"""
