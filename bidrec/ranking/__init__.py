"""Retrieval, re-ranking, baselines, and how good each ranking is.

retrieval    topk, counts, neighbours, eligibility: shared by baselines, re-ranker and write-back
re-ranking   pair_features, reranker, calibration
evaluation   ground_truth, metrics, baselines, evaluate, slices, company_side; run_evaluation runs them for a run
"""
