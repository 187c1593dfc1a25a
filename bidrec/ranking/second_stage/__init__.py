"""The second stage: the towers retrieve, and what is known of each pair orders what they and the neighbours found.

neighbours.py  the most alike notices in the towers' space, and who bid on them
peers.py       what companies of a region and licence do, for those of which no bid is known
evidence.py    everything known at a moment: neighbours, counts, co-bidders, activity, peers
signals.py     that evidence for a block of notices: candidates (B, M) and their signals (B, M, S)
blend.py       one weight a signal, learned on the validation window; small enough to read
calibrate.py   what a score means as a probability of bidding, and how well that holds
final.py       the final ranking: a ranker for the evaluation, lists for the write-back
"""
