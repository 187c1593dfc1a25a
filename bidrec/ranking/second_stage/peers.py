"""Peers: what the companies of a region with a licence bid on, lent to a company of which no bid is known.

Reads   runs/ID/training_set (the companies' records)

Dimension letters: P profile rows, C companies, G groups, B notices of a block, M candidates of each.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.sparse_rows import from_ends
from bidrec.training_set.load import Side

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

REGION, LICENCES = "region", "licences"
"""Fields of a company's record; where a source has neither, all companies are peers."""
LAID_OUT = 1 << 19
"""Votes that are laid out at a time, 2 MB, or those of one notice."""


def groups_of(profile: Side) -> sparse.csr_array:
    """(P, G) the groups of each record, one for its region with each of its licences, as shares that sum to 1.

    Groups that no record is in have no column: there may be as many as all regions times all licences. What is unknown
    is a value like others. The codes are those of the training set's vocabulary, in which rare values are one.
    """
    region, licences = _items(profile, REGION), _items(profile, LICENCES)
    # One region a record, some licences each: a group's number is made of both codes.
    first = region.indices[region.indptr[:-1]] if profile.rows else np.empty(0, np.int64)
    per_row = np.diff(licences.indptr)
    group = np.repeat(first.astype(np.int64), per_row) * licences.shape[1] + licences.indices
    found, group = np.unique(group, return_inverse=True)
    share = np.repeat(1 / np.maximum(per_row, 1), per_row).astype(np.float32)
    return from_ends(share, group, licences.indptr, (profile.rows, len(found)))


def _items(side: Side, name: str) -> sparse.csr_array:
    """(R, size) ones: the codes of a field's items; all of them unknown, code 0, where there is no such field."""
    for column, field in enumerate(side.schema["attributes"]):
        if field["name"] == name:
            lengths, first = side.attribute_lengths[:, column], side.attribute_starts()[:, column]
            ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            at = np.arange(ends[-1]) + np.repeat(first - ends[:-1], lengths)
            codes = side.attribute_values[at].astype(np.int64) - field["base"]
            return from_ends(np.ones(len(codes), np.float32), codes, ends, (side.rows, field["size"]))
    return sparse.csr_array(np.ones((side.rows, 1), np.float32))


class Peers:
    """The groups of the companies as of a moment."""

    def __init__(self, groups_PG: sparse.csr_array, profile_C: Int64) -> None:
        """`profile_C`: each company's newest record known, a row of `groups_PG`; -1 where there is none."""
        has = profile_C >= 0
        ends = np.concatenate([[0], np.cumsum(has)])
        ones = np.ones(ends[-1], np.float32)
        record_CP = from_ends(ones, profile_C[has], ends, (len(profile_C), groups_PG.shape[0]))
        self._share_CG = (record_CP @ groups_PG).tocsr()
        members_G = np.bincount(self._share_CG.indices, minlength=groups_PG.shape[1])
        belongs_CG = self._share_CG.sign()
        self._mean_CG = (belongs_CG @ sparse.diags_array(1 / np.maximum(members_G, 1).astype(np.float32))).tocsr()

    def lent(self, votes: sparse.csr_array, company_BM: Int64, asked_BM: Bool) -> Float32:
        """(B, M) the mean vote (of `votes`, (B, C)) over each of a company's groups, averaged over its groups; 0 where
        not `asked`, and for a company without a record."""
        found = np.zeros(company_BM.shape, np.float32)
        row, place = np.nonzero(asked_BM)
        share_AG = self._share_CG[company_BM[row, place]]
        if not share_AG.nnz:
            return found
        of = np.repeat(np.arange(len(row)), np.diff(share_AG.indptr))
        part = share_AG.data * _looked_up(votes @ self._mean_CG, row[of], share_AG.indices)
        found[row, place] = np.bincount(of, part, len(row))
        return found


def _looked_up(vote_BG: sparse.csr_array, row: npt.NDArray[np.integer], group: npt.NDArray[np.integer]) -> Float32:
    """(n,) the votes at these places, whose rows ascend. Some rows are laid out at a time: to find places one by one in
    sparse rows takes ten times as long."""
    found, height = np.empty(len(row), np.float32), max(1, LAID_OUT // vote_BG.shape[1])
    for start in range(0, vote_BG.shape[0], height):
        part = slice(*np.searchsorted(row, [start, start + height]))
        found[part] = vote_BG[start : start + height].toarray()[row[part] - start, group[part]]
    return found
