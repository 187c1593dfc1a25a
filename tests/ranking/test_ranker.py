import numpy as np

from bidrec.ranking.ranker import VectorRanker


def test_vectors_score_by_their_dot_product_for_the_notices_asked_about():
    ranker = VectorRanker(np.array([[1, 0], [0, 2]], np.float32), np.array([[3, 4], [5, 6], [0, 0]], np.float32))
    scores = ranker.scores(np.array([1, 0, 1]))
    assert scores.tolist() == [[8, 12, 0], [3, 5, 0], [8, 12, 0]]
    assert scores.dtype == np.float32
