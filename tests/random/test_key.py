import random

import numpy as np
import pytest

from dropkit.core import StreamError
from dropkit.random import child_seed
from dropkit.random.key import base_words, mask_words, seed_words, site_words


def test_every_field_changes_the_key(seed):
    plain = {"seed": seed, "step": 0, "rank": 0, "member": 0, "site": "a", "occurrence": 0}

    def key(**fields):
        f = plain | fields
        base = base_words(f["seed"], f["step"], f["rank"])
        return mask_words(base, f["member"], site_words(f["site"]), f["occurrence"])

    keys = [key(), key(seed=seed ^ 1), key(site="b"), key(site="#0"), key(site="#1")]
    keys += [key(**{f: 1}) for f in ("step", "rank", "member", "occurrence")]
    keys += [key(step=1 << 40), key(seed=seed ^ 1 << 40)]
    words = [w for k in keys for w in k]
    assert len(set(words)) == len(words)  # not even one of the four words repeats
    assert all(0 <= w < 2**32 for w in words)


def test_unnamed_sites_are_their_number():
    assert site_words("#7") == (7, 0xFFFFFFFF)
    assert site_words("#x") != site_words("#y")


@pytest.mark.parametrize("bad", [2**64, -(2**63) - 1, 1.0, "1", True, np.bool_(True), None])
def test_a_bad_seed_is_refused(bad):
    with pytest.raises(StreamError, match=r"seed must be an int in \[-2\*\*63, 2\*\*64\), got"):
        seed_words(bad)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_numpys_whole_numbers_are_seeds(kind):
    assert seed_words(kind(7)) == seed_words(7)
    assert all(type(word) is int for word in seed_words(kind(7)))
    assert child_seed(kind(7), "masks") == child_seed(7, "masks")


def test_a_negative_seed_is_its_twos_complement():
    assert seed_words(-1) == seed_words(2**64 - 1) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_child_seeds_are_pinned_distinct_and_in_range():
    # pinned: a change would silently change every study ever run
    assert child_seed(0, "order") == 8151521846590709597
    assert child_seed(-1, "masks") == 2197132142452847638
    names = [f"{random.random()}" for _ in range(200)]
    children = {child_seed(root, name) for root in (0, 1, -1) for name in names}
    assert len(children) == 600
    assert all(0 <= child < 2**63 for child in children)
    assert child_seed(5, "masks") == child_seed(5, "masks")
