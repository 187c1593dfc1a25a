import itertools
import math
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.training_set.text import (
    AT_ONCE,
    MAXIMUM_TERMS,
    DocumentFrequency,
    counted_terms,
    hashed_terms,
    stretches,
    weighted_terms,
)

BUCKETS = 2**40
"""So many that two terms of a test never share one."""


def terms(title):
    return set(hashed_terms([title], BUCKETS)[1].tolist())


def counts(title):
    return sorted(counted_terms([title], BUCKETS)[2].tolist())


letters = "ab가나다 -1"
titles = st.lists(st.none() | st.text(letters, max_size=12), max_size=6)


def brute_force(title):
    """The terms of a title as readable tuples, in a loop."""
    words = "".join(c if c.isalnum() else " " for c in (title or "").replace("1", "0")).split()
    found = [("word", w) for w in words] + [("pair", a, b) for a, b in itertools.pairwise(words)]
    for word in words:
        for n in (2, 3):
            grams = [word[i : i + n] for i in range(len(word) - n + 1)]
            found += [("syllables", g) for g in grams if all("가" <= c <= "힣" for c in g)]
    return found


@settings(deadline=None)
@given(titles)
def test_terms_are_equal_exactly_where_a_loop_over_words_finds_equal_ones(some):
    rows, hashed = hashed_terms(some, BUCKETS)
    expected = [(row, term) for row, title in enumerate(some) for term in brute_force(title)]
    assert len(rows) == len(expected)
    bucket_of = {term: next(iter(terms_of_one(term))) for _, term in expected}
    assert len(set(bucket_of.values())) == len(bucket_of)
    assert sorted(zip(rows.tolist(), hashed.tolist(), strict=True)) == sorted(
        (row, bucket_of[term]) for row, term in expected
    )


def terms_of_one(term):
    """The bucket of one term, found as what a text has and its parts have not."""
    kind, *parts = term
    if kind == "word":
        return terms(parts[0]) - {t for n in (2, 3) for t in syllables(parts[0], n)}
    if kind == "pair":
        return terms(" ".join(parts)) - terms(parts[0]) - terms(parts[1])
    return syllables(parts[0], len(parts[0]))


def syllables(word, length):
    """Buckets of the stretches of `length` Hangul syllables: what a longer word shares with one around it."""
    grams = [word[i : i + length] for i in range(len(word) - length + 1)]
    return {t for g in grams if all("가" <= c <= "힣" for c in g) for t in terms("a" + g) & terms("b" + g)} - {
        t for g in grams for n in range(2, length) for t in syllables(g, n)
    }


def test_case_width_digits_and_decomposed_hangul_do_not_matter():
    assert terms("Road NO 12") == terms("ｒｏａｄ no 97")
    assert terms("도로") == terms("\u1103\u1169\u1105\u1169")


def test_a_compound_korean_word_shares_terms_with_its_parts():
    assert terms("도로포장공사") & terms("도로 포장")
    assert not terms("road works") & terms("도로 포장")


def test_word_order_counts_in_pairs_and_pairs_do_not_cross_titles():
    assert len(terms("a b") & terms("b a")) == 2
    rows, hashed = hashed_terms(["a", "b"], BUCKETS)
    assert rows.tolist() == [0, 1]
    assert len(set(hashed.tolist())) == 2


def test_hashes_are_the_same_in_another_process():
    code = "from bidrec.training_set.text import hashed_terms; print(hashed_terms(['도로 works'], 65536)[1].tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == str(hashed_terms(["도로 works"], 65536)[1].tolist()) == "[40797, 48967, 37338, 63488]"


def test_weights_are_counts_times_idf_of_unit_length():
    frequency = DocumentFrequency(BUCKETS_SMALL)
    frequency.add(["road", "road", "road", "pipe"])
    idf = frequency.idf()
    values, weights, lengths = weighted_terms(["road road pipe", None, ""], idf)
    assert lengths.tolist() == [len(values), 0, 0]
    road, pipe = (int(hashed_terms([w], BUCKETS_SMALL)[1][0]) for w in ("road", "pipe"))
    found = dict(zip(values.tolist(), weights.tolist(), strict=True))
    expected = (1 + math.log(2)) * (math.log(5 / 4) + 1) / (math.log(5 / 2) + 1)
    assert math.isclose(found[road] / found[pipe], expected, rel_tol=1e-6)
    assert math.isclose(float(np.square(weights).sum()), 1, rel_tol=1e-6)


BUCKETS_SMALL = 65_536


def test_a_long_title_keeps_its_heaviest_terms():
    words = [f"w{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(100)]
    rare = hashed_terms([words[99]], BUCKETS_SMALL)[1][0]
    frequency = DocumentFrequency(BUCKETS_SMALL)
    frequency.add([" ".join(words[:99])] * 5)
    values, weights, lengths = weighted_terms([" ".join(words), "one"], frequency.idf())
    assert lengths.tolist() == [MAXIMUM_TERMS, 1]
    assert rare in values[:MAXIMUM_TERMS]
    assert weights[-1] == 1


def test_no_titles_give_no_terms():
    values, weights, lengths = weighted_terms([], np.ones(8, np.float32))
    assert (len(values), len(weights), len(lengths)) == (0, 0, 0)


@given(st.lists(st.sampled_from([0, 3, AT_ONCE // 3, AT_ONCE, 3 * AT_ONCE]), max_size=12))
def test_a_stretch_of_titles_is_no_longer_than_is_hashed_at_once_but_for_a_single_title(lengths):
    parts = [np.array(lengths, np.int64)[part] for part in stretches(np.array(lengths, np.int64))]
    assert np.concatenate([np.zeros(0, np.int64), *parts]).tolist() == lengths
    assert all(len(part) == 1 or part.sum() <= AT_ONCE for part in parts)
