"""Losses over cosine scores, as small units of pure torch, chosen by [loss] in the configuration.

The order everywhere: scores, temperature (`temperature`), correction for how often a candidate is drawn (`frequency`,
or the weights of `negatives`), mask of accidental hits (`hits`), softmax (`softmax`; in blocks: `blocks`).
`in_batch` puts them together for a batch of bids.
"""
