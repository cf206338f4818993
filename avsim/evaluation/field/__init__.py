"""The field's metrics under their own names: FAD, KAD, FD, FVD, IS, CLAP score, DeSync, AV-Align and others.

Networks are the user's: local files or names on the hub, and each result states its protocol (network, hash
of the weights, window, rate, number of clips). Nothing is bundled.
"""
