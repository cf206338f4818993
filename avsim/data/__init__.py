"""Videos, lists and worlds -> shards -> batches."""
