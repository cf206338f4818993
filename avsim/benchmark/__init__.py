"""AV-Truth: counterfactual pairs of synthetic clips, scores of foley against their truth, and of metrics.

In a pair exactly one fact differs (`pairs.CHANGES`) while all times of the hits are equal, so that timing
alone can't tell the two clips apart.
"""
