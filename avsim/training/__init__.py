"""What all Lightning training runs share: optimizers, EMA, checkpoints, callbacks, the metrics file."""
