"""LightFM as a rival (Kula 2015, arXiv 1507.08439): a hybrid factorisation trained with WARP; an optional extra.

Needs   lightfm-next (requirements/lightfm.txt), and evaluation.further_rivals = ["lightfm"], which asks for it

A notice is the sum of the vectors of its attributes and words, a company a vector of its own. A bid weighs the less the
older it is. Learned anew from the known bids at each moment that is asked for, on one thread, so that it can be
repeated; in the weekly evaluation that is as often as it is refreshed.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.errors import DependencyDown
from bidrec.ranking.baselines.fields import Fields, unit_rows
from bidrec.ranking.baselines.known_bids import KnownBids

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

COMPONENTS, EPOCHS, LEARNING_RATE, SEED = 64, 20, 0.05, 7


def require_lightfm() -> None:
    """Raise DependencyDown (69) where LightFM is not installed."""
    try:
        import lightfm  # noqa: F401
    except ImportError as error:
        raise DependencyDown(
            "evaluation.further_rivals names lightfm, which is not installed",
            hint="pip install -r requirements/lightfm.txt, which needs a C compiler",
        ) from error


class Factorised:
    """Companies without a known bid come after all others."""

    def __init__(self, bids: KnownBids, fields: Fields, half_life: float) -> None:
        """`half_life` of a bid's weight, in days."""
        require_lightfm()
        from lightfm import LightFM

        self.companies = bids.companies
        self.feature_NF = unit_rows(sparse.hstack([fields.attributes, fields.text], format="csr"))
        self.known, company = np.unique(bids.company, return_inverse=True)
        self.bias_F = np.zeros(self.feature_NF.shape[1], np.float32)
        self.vector_FD = np.zeros((len(self.bias_F), COMPONENTS), np.float32)
        self.company_KD, self.company_bias_K = self.vector_FD[:0], self.bias_F[:0]
        if not len(self.known) or not self.feature_NF.nnz:
            self.company_bias_K = np.log1p(bids.popularity(half_life))[self.known].astype(np.float32)
            self.company_KD = np.zeros((len(self.known), COMPONENTS), np.float32)
            return
        notices, notice = np.unique(bids.notice, return_inverse=True)
        place, shape = (notice.astype(np.int32), company.astype(np.int32)), (len(notices), len(self.known))
        bid = sparse.coo_matrix((np.ones(len(company), np.float32), place), shape)
        weight = sparse.coo_matrix((bids.weights(half_life).astype(np.float32), place), shape)
        model = LightFM(no_components=COMPONENTS, loss="warp", learning_rate=LEARNING_RATE, random_state=SEED)
        features = sparse.csr_matrix(self.feature_NF[notices])
        # LightFM reads 32-bit indices alone.
        features.indices, features.indptr = features.indices.astype(np.int32), features.indptr.astype(np.int32)
        model.fit(bid, user_features=features, sample_weight=weight, epochs=EPOCHS, num_threads=1)
        self.vector_FD, self.bias_F = model.user_embeddings, model.user_biases
        self.company_KD, self.company_bias_K = model.item_embeddings, model.item_biases

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        notice_BD = self.feature_NF[notice_rows] @ self.vector_FD
        score_BK = np.asarray(notice_BD, np.float32) @ self.company_KD.T + self.company_bias_K
        scores_BC = np.full((len(notice_rows), self.companies), score_BK.min(initial=0) - 1, np.float32)
        scores_BC[:, self.known] = score_BK
        return scores_BC
