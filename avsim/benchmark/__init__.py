"""AV-Truth: a benchmark of foley, and of metrics, on counterfactual synthetic clips with exact truth.

In every clip a stick hits targets. Between the two clips of a pair exactly one fact differs (`pairs.CHANGES`:
material, size, ...), while all hits have the same times: timing alone can't tell the clips apart.
"""
