import dataclasses
import sys

import numpy as np
import pytest

from bidrec.errors import ContractError, DependencyDown
from bidrec.features.schema import MORPHEMES, NGRAMS
from bidrec.storage.sealed import read_json, write_json
from bidrec.training_set import morphemes as module
from bidrec.training_set import text
from bidrec.training_set.build import build_training_set
from bidrec.training_set.load import TrainingSet
from bidrec.training_set.morphemes import morphemes
from tests.training_set.tables import NOTICE_FIELDS, config_of, schema_of, small_world, write_features

TITLES = ["도로를 포장하는 공사", "도로 포장 공사", None, "Road works, 12 km", ""]
AS_MORPHEMES = tuple(
    dataclasses.replace(f, terms="morphemes", tags={**f.tags, "terms": "morphemes"}) if f.read == "text" else f
    for f in NOTICE_FIELDS
)


def test_without_kiwipiepy_a_field_that_needs_it_ends_with_69_and_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    module._kiwi.cache_clear()
    with pytest.raises(DependencyDown) as refused:
        text.hashed_terms(["도로"], terms=MORPHEMES)
    assert "requirements/korean.txt" in (refused.value.hint or "")
    assert module.analyser_of(NGRAMS) == ""


class TestWithKiwi:
    @pytest.fixture(autouse=True)
    def _kiwi(self):
        pytest.importorskip("kiwipiepy", reason="not installed: pip install -r requirements/korean.txt")
        module._kiwi.cache_clear()

    def test_particles_and_endings_go_and_the_rest_stays_in_its_order(self):
        assert list(morphemes(TITLES)) == ["도로 포장 공사", "도로 포장 공사", "", "Road works 12 km", ""]

    def test_terms_are_morphemes_and_pairs_of_them_hashed_as_words_are(self):
        rows, buckets, counts = text.counted_terms(["도로를 포장하는"], terms=MORPHEMES)
        words_alone = [w for word in ("도로", "포장") for w in set(text.hashed_terms([word])[1].tolist())]
        assert (len(rows), counts.tolist()) == (3, [1, 1, 1])
        assert len(set(buckets.tolist()) & set(words_alone)) == 2

    def test_a_fit_says_who_found_its_terms_and_reads_new_titles_in_the_same_way(self, tmp_path):
        notices, bids, profiles = small_world()
        notices = [{**notice, "title": TITLES[i % 2]} for i, notice in enumerate(notices)]
        write_features(tmp_path, notices, bids, profiles)
        schema = schema_of(tmp_path, AS_MORPHEMES)
        build_training_set(config_of(tmp_path), schema, tmp_path / "set")
        ts = TrainingSet.open(tmp_path / "set")
        (title,) = ts.notice.schema["text"]
        assert title["terms"] == "morphemes"
        assert title["analyser"].startswith("kiwipiepy ")
        assert ts.notice.text_lengths.tolist() == [5] * len(notices)
        build_training_set(config_of(tmp_path), schema, tmp_path / "today", fitted=tmp_path / "set")
        today = TrainingSet.open(tmp_path / "today")
        np.testing.assert_array_equal(today.notice.text_values, ts.notice.text_values)

    def test_a_fit_of_another_version_is_refused(self, tmp_path):
        write_features(tmp_path, *small_world())
        schema = schema_of(tmp_path, AS_MORPHEMES)
        build_training_set(config_of(tmp_path), schema, tmp_path / "set")
        file = tmp_path / "set" / "schema.json"
        written = read_json(file)
        written["notice"]["text"][0]["analyser"] = "kiwipiepy 0.1.0"
        write_json(file, written)
        with pytest.raises(ContractError, match=r"kiwipiepy 0\.1\.0 when the run was trained"):
            build_training_set(config_of(tmp_path), schema, tmp_path / "today", fitted=tmp_path / "set")
