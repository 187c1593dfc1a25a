"""Who is likeliest: exact top-K, the baselines beside the model, and how good each ranking was.

topk.py and listing.py turn scores into lists; ranker.py says what a ranker is; baselines/ are the rankers a model has
to beat; truth.py holds the bids that happened in a window; metrics.py and bootstrap.py compare the two; evaluate.py
makes one table of them all, run_evaluation.py that of a run.
"""
