"""Korean titles of notices: place, site, thing and deed, as a clerk would write them.

Reads   notices.py's latent rows, market.toml's words
Read by dumps.py
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bidrec.simulator.notices import Notices
from bidrec.simulator.world import World

_ENDS = ("", "", "", "", "", "", "", "(2차)", "(긴급)", "(추가)", "(전자)")


def titles(world: World, notices: Notices) -> pa.Array:
    """(n,) strings such as '전주시 덕진구 송정리 노후 상수관로 정비공사(2차)'. A re-notice keeps its title."""
    words = notices["words"]
    thing = _words([topic.things for topic in world.market.topics], notices["topic"], words >> 1)
    deed = _words([topic.deeds for topic in world.market.topics], notices["topic"], words >> 9)
    kind = world.institution_kind[notices["institution"]]
    site = _words([kind.sites or ("",) for kind in world.market.kinds], kind, words >> 17)
    place = pa.array(world.district_name).take(pa.array(notices["district"]))
    # Villages (리) lie in counties and cities; in a 구 it is a 동.
    site = pc.if_else(pc.ends_with(place, "구"), pc.replace_substring_regex(site, "리$", "동"), site)
    end = pa.array(_ENDS).take(pa.array((words >> 25) % len(_ENDS)))
    year = pc.binary_join_element_wise(pa.array((notices["month"] // 100).astype(str)), "년", "")
    blank = pa.array([""] * len(words))
    # A school's or hall's name stands alone, a village needs its district.
    pattern = (words >> 33) % 10
    parts = [
        _either(pattern == 0, year, blank),
        _either((pattern < 7) | (pc.equal(site, "").to_numpy(zero_copy_only=False)), place, blank),
        _either(pattern != 6, site, blank),
        thing,
        deed,
    ]
    spaced = pc.binary_join_element_wise(*parts, " ")
    tidy = pc.utf8_trim_whitespace(pc.replace_substring_regex(spaced, " +", " "))
    return pc.binary_join_element_wise(tidy, end, "")


def _words(lists: list[tuple[str, ...]], which: NDArray, seed: NDArray) -> pa.Array:
    """One word of the row's list, by its seed."""
    length = np.array([len(words) for words in lists])
    begin = np.concatenate([[0], np.cumsum(length)[:-1]])
    flat = pa.array([word for words in lists for word in words])
    return flat.take(pa.array(begin[which] + seed % length[which]))


def _either(condition: NDArray, yes: pa.Array, no: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(condition), yes, no)
