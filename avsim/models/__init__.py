"""Networks: one value per modality, blocks, how the two streams are coupled, the joint DiT, text encoders."""
