"""Judges of picture and sound, proven on the world's truth before they judge.

A `Judge` is a `torchmetrics.Metric` of plain values (`separation`, `localization`, `grounding`, `space`,
`events`, `card`, `integrity`, `text`, `fidelity`, `diversity`). A `Question` asks it of a clip by what
detectors find there (`evidence`); the `Panel` asks all, and `Calibration` says which answers to believe.
"""
