"""What every Lightning training here shares: optimizers, EMA, checkpoints, callbacks, the metrics file."""
