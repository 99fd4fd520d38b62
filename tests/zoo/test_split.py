import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core import ConfigError, DataError
from dropkit.zoo.split import split


def cut(sizes, *, strata=None, val=None, test=None, subset=None, seed=0, resplit=False):
    return split(
        sizes,
        strata=strata,
        val=val,
        test=test,
        default_val=0.2,
        default_test=0.2,
        subset=subset,
        seed=seed,
        resplit=resplit,
        name="data",
    )


def counts(parts):
    return len(parts.train), len(parts.val), len(parts.test)


@given(
    sizes=st.tuples(st.integers(10, 60), st.integers(0, 20), st.integers(0, 20)),
    seed=st.integers(0, 2**63),
    resplit=st.booleans(),
    classes=st.integers(1, 5),
    subset=st.sampled_from([None, 0.5, 1.0 - 1e-3]),
)
def test_parts_are_disjoint_and_keep_what_comes_apart_apart(sizes, seed, resplit, classes, subset):
    strata = np.arange(sum(sizes)) % classes
    parts = cut(sizes, strata=strata, seed=seed, resplit=resplit, subset=subset)
    rows = np.concatenate([parts.train, parts.val, parts.test])
    assert len(set(rows.tolist())) == len(rows)
    assert set(rows.tolist()) <= set(range(sum(sizes)))
    if subset is None:
        assert len(rows) == sum(sizes)
    if not resplit:
        n_train, n_val, n_test = sizes
        assert (parts.train < n_train).all()
        if n_test:
            assert (parts.test >= n_train + n_val).all()
            assert (parts.val < n_train + n_val).all()
        if n_val:
            assert ((parts.val >= n_train) & (parts.val < n_train + n_val)).all()


@pytest.mark.parametrize(
    ("sizes", "asked", "expected"),
    [
        ((100, 0, 0), {}, (64, 16, 20)),  # fractions: test of all, val of what is left
        ((100, 0, 0), {"test": 30, "val": 10}, (60, 10, 30)),
        ((100, 0, 0), {"test": 0.5, "val": 0.5}, (25, 25, 50)),
        ((100, 0, 0), {"test": 50, "subset": 20}, (16, 4, 50)),  # subset counts training and validation
        ((100, 0, 0), {"test": 50, "subset": 0.2, "val": 5}, (5, 5, 50)),
        ((3, 0, 0), {}, (1, 1, 1)),  # what was not asked for does not round to nothing
        ((100, 0, 40), {}, (80, 20, 40)),
        ((100, 0, 40), {"test": 10}, (80, 20, 10)),  # of a test part that comes with the data
        ((100, 0, 40), {"test": 0.5, "subset": 50}, (40, 10, 20)),
        ((100, 20, 40), {}, (100, 20, 40)),
        ((100, 20, 40), {"val": 5}, (100, 5, 40)),
        ((100, 20, 40), {"subset": 60}, (50, 10, 40)),  # shrinks both
        ((100, 20, 40), {"subset": 60, "val": 20}, (40, 20, 40)),
        ((100, 20, 0), {}, (80, 20, 20)),
        ((100, 20, 40), {"resplit": True}, (100, 20, 40)),
        ((100, 0, 40), {"resplit": True, "test": 70, "val": 7}, (63, 7, 70)),
    ],
)
def test_sizes(sizes, asked, expected):
    assert counts(cut(sizes, **asked)) == expected


def test_resplit_mixes_training_and_test_rows():
    parts = cut((100, 0, 100), resplit=True)
    assert 0 < (parts.test < 100).sum() < 100  # false alarm below 1e-58


def test_the_seed_decides_and_alone_decides():
    first, same, other = cut((100, 0, 0)), cut((100, 0, 0)), cut((100, 0, 0), seed=1)
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(first, part), getattr(same, part))
    assert set(first.test) != set(other.test)


def test_global_state_is_neither_used_nor_changed():
    before = np.random.get_state()[1].copy()
    cut((100, 0, 0))
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_the_split_never_changes():
    """Pinned: a split that changed with a release would make old results impossible to reproduce."""
    parts = cut((60, 0, 20), strata=np.arange(80) % 7, seed=3)
    rows = np.concatenate([parts.train, parts.val, parts.test]).astype("<i8")
    assert hashlib.sha256(rows.tobytes()).hexdigest()[:16] == "d4b7764655efc48b"


@pytest.mark.parametrize("seed", range(20))
def test_each_part_has_its_share_of_each_class(seed):
    strata = np.repeat([0, 1, 2], [70, 20, 10])
    parts = cut((100, 0, 0), strata=strata, test=20, val=20, seed=seed)
    for part, n in ((parts.train, 60), (parts.val, 20), (parts.test, 20)):
        found = np.bincount(strata[part], minlength=3)
        assert (np.abs(found - n * np.array([0.7, 0.2, 0.1])) <= 2).all()


def test_without_strata_rows_of_one_class_are_drawn_evenly():
    """Each row is in the test part in 1 of 5 seeds: chi-squared over rows."""
    from scipy import stats

    hits = np.zeros(50)
    for seed in range(400):
        hits[cut((50, 0, 0), seed=seed).test] += 1
    # n draws without replacement have variance n q (1 - q) a row, summing to rows - 1 degrees of freedom
    statistic = ((hits - 80) ** 2).sum() / (400 * 0.2 * 0.8) * 49 / 50
    assert stats.chi2(49).sf(statistic) > 1e-6
    assert stats.chi2(49).cdf(statistic) > 1e-6


def test_smaller_subsets_are_inside_larger_ones():
    small, large = (cut((100, 0, 20), subset=n, val=10) for n in (30, 60))
    assert set(small.train) < set(large.train)
    assert set(small.val) == set(large.val)


def test_training_rows_come_in_random_order_and_the_others_in_file_order():
    parts = cut((100, 0, 0))
    assert (np.diff(parts.val) > 0).all()
    assert (np.diff(parts.test) > 0).all()
    assert not (np.diff(parts.train) > 0).all()


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"test": 100}, DataError, "data: test = 100, but of 100 examples it can be from 1 to 99"),
        ({"test": 90, "val": 10}, DataError, "val = 10, but of 10 examples it can be from 1 to 9"),
        ({"subset": 81}, DataError, "subset = 81, but of 80 examples it can be from 1 to 80"),
        ({"val": 0.001}, DataError, r"val = 0.001 \(0 examples\), but of 80"),
        ({"subset": 1}, DataError, "data: 1 examples are too few to take val from"),
        ({"val": 0}, ConfigError, "val must be at least 1 example, got 0"),
        ({"test": -3}, ConfigError, "test must be at least 1 example, got -3"),
        (
            {"test": 1.5},
            ConfigError,
            r"test must be a count \(an integer\) or a fraction in \(0, 1\), got 1.5",
        ),
        ({"test": float("nan")}, ConfigError, "got nan"),
        ({"val": "10"}, ConfigError, "val must be a count or a fraction"),
        ({"val": True}, ConfigError, "got True"),
        ({"seed": -1}, ConfigError, "split_seed must be an integer of at least 0, got -1"),
        ({"seed": 1.0}, ConfigError, "split_seed"),
        ({"seed": True}, ConfigError, "split_seed"),
    ],
)
def test_impossible_requests_are_refused(asked, error, text):
    with pytest.raises(error, match=text):
        cut((100, 0, 0), **asked)


def test_numpys_whole_numbers_are_seeds():
    ways = [cut((100, 0, 0), seed=seed) for seed in (7, np.int64(7), 8)]
    train = [list(parts.train) for parts in ways]
    assert train[0] == train[1] != train[2]
