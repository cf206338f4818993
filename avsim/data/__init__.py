"""Films, lists and worlds -> shards -> batches."""
