import copy
import pickle
import threading

import numpy as np
import pytest
import torch

import dropkit as dk
from dropkit.core import StreamError
from dropkit.random import Stream, mask, stream
from dropkit.random import stream as make_stream


def drop(site=None, n=256, rate=0.5, **options):
    return dk.ops.dropout(torch.ones(n), rate, training=True, site=site, **options) != 0


def expected(seed, site, **key):
    return torch.from_numpy(mask(256, 0.5, seed=seed, site=site, **key))


def test_unnamed_calls_are_numbered_and_named_ones_counted(seed):
    with stream(seed) as s:
        assert torch.equal(drop(), expected(seed, "#0"))
        assert torch.equal(drop("a"), expected(seed, "a"))
        assert torch.equal(drop(), expected(seed, "#1"))
        assert torch.equal(drop("a"), expected(seed, "a", occurrence=1))
        s.advance()
        assert torch.equal(drop("a"), expected(seed, "a", step=1))
        assert torch.equal(drop(), expected(seed, "#0", step=1))
        s.advance(3)
        assert s.step == 4
        assert torch.equal(drop("a"), expected(seed, "a", step=4))


def test_entering_again_starts_the_counts_again(seed):
    s = stream(seed, step=5)
    with s:
        first = drop("a"), drop()
    with s:
        assert torch.equal(drop("a"), first[0])
        assert torch.equal(drop(), first[1])
    assert s.step == 5


def test_named_sites_do_not_depend_on_the_order_of_calls(seed):
    with stream(seed):
        a, b = drop("a"), drop("b")
    with stream(seed):
        assert torch.equal(drop("b"), b)
        assert torch.equal(drop("a"), a)


def test_a_call_at_rate_zero_or_one_or_on_nothing_still_counts(seed):
    with stream(seed):
        drop(rate=0.0), drop(rate=1.0), drop(n=0), drop("a", rate=0.0)
        assert torch.equal(drop(), expected(seed, "#3"))
        assert torch.equal(drop("a"), expected(seed, "a", occurrence=1))
        dk.ops.dropout(torch.ones(3), 0.5, training=False)
        assert torch.equal(drop(), expected(seed, "#4"))


def test_rank_and_member_are_part_of_the_key(seed):
    with stream(seed, rank=3, member=2):
        assert torch.equal(drop("a"), expected(seed, "a", rank=3, member=2))


def test_the_innermost_stream_wins_and_the_outer_one_comes_back(seed):
    with stream(seed) as outer:
        with stream(seed + 1) as inner:
            assert torch.equal(drop("a"), expected(seed + 1, "a"))
            dk.step()
        assert (outer.step, inner.step) == (0, 1)
        assert torch.equal(drop("a"), expected(seed, "a"))
    with pytest.raises(StreamError, match="needs an active stream"):
        dk.step()


def test_a_stream_is_left_when_its_body_raises(seed):
    with pytest.raises(KeyError), stream(seed):
        raise KeyError
    with pytest.raises(StreamError):
        dk.step()


def test_a_stream_belongs_to_the_thread_that_entered_it(seed):
    refused = []

    def elsewhere():
        with pytest.raises(StreamError):
            dk.step()
        refused.append(True)

    with stream(seed):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert torch.equal(drop(), expected(seed, "#0"))
    assert refused == [True]


def test_an_explicit_generator_decides_alone(seed, rng):
    state = rng.get_state()
    outside = drop(generator=rng)
    with stream(seed):
        rng.set_state(state)
        assert torch.equal(drop(generator=rng), outside)
        assert torch.equal(drop(), expected(seed, "#0"))  # and is no call of the stream


def test_a_stream_leaves_the_global_generator_alone(seed):
    before = torch.get_rng_state()
    with stream(seed):
        drop(), drop("a")
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_stream_manual_seed_alone_decides(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first, second = drop(), drop("a")
        torch.manual_seed(seed)
        assert torch.equal(drop("b"), first)
        assert torch.equal(drop(), second)
        assert not torch.equal(first, second)


def test_ranks_differ_by_default_and_agree_on_request(seed, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 7)
    with stream(seed):
        assert torch.equal(drop("a"), expected(seed, "a", rank=7))
    with stream(seed, rank=0):
        assert torch.equal(drop("a"), expected(seed, "a"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        elsewhere = drop()
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
        torch.manual_seed(seed)
        assert not torch.equal(drop(), elsewhere)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_continues_where_the_original_stands(again, seed):
    with stream(seed, member=3) as s:
        s.advance()
        drop("a"), drop()
        twin = again(s)
        rest = drop("a"), drop()
    assert isinstance(twin, Stream)
    state = twin.state_dict()
    with twin:
        twin.load_state_dict(state)
        assert torch.equal(drop("a"), rest[0])
        assert torch.equal(drop(), rest[1])


def test_state_goes_through_a_checkpoint_mid_step(seed, tmp_path):
    with stream(seed) as s:
        s.advance(2)
        drop("a"), drop()
        torch.save(s.state_dict(), tmp_path / "state.pt")
        rest = drop("a"), drop()
    with stream(0, rank=0) as other:
        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert other.step == 2
        assert torch.equal(drop("a"), rest[0])
        assert torch.equal(drop(), rest[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
@pytest.mark.parametrize("name", ["member", "sample"])
def test_narrow_integers_give_the_masks_of_wide_ones(name, dtype, seed):
    x = torch.ones(6, 50)
    for value in (torch.tensor(5), torch.arange(6) * 20):
        with stream(seed, **{name: value}):
            wide = dk.ops.dropout(x, 0.5, training=True, site="a")
        with stream(seed, **{name: value.to(dtype)}):
            assert torch.equal(dk.ops.dropout(x, 0.5, training=True, site="a"), wide)


@pytest.mark.parametrize("value", [torch.tensor(2.0), torch.tensor(True), torch.ones(3)])
@pytest.mark.parametrize("name", ["member", "sample"])
def test_members_and_samples_are_whole_numbers(name, value, seed):
    with pytest.raises(
        StreamError, match=f"{name} must be an int or a tensor of whole numbers, got a tensor of"
    ):
        stream(seed, **{name: value})


def test_a_state_of_something_else_is_refused():
    with pytest.raises(StreamError, match=r"lacks \['occurrences', 'seed', 'unnamed'\]"):
        stream(0).load_state_dict({"step": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": 0.5}, "seed must be an int"),
        ({"seed": 0, "step": -1}, r"step must be an int in \[0, 2\*\*63\), got -1"),
        ({"seed": 0, "rank": -1}, r"rank must be an int in \[0, 2\*\*32\), got -1"),
        ({"seed": 0, "member": 2**32}, r"member must be an int in \[0, 2\*\*32\)"),
        ({"seed": 0, "sample": -1}, r"sample must be an int of at least 0, got -1"),
        ({"seed": 0, "sample": 1.5}, r"sample must be an int of at least 0, got 1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(StreamError, match=message):
        make_stream(**arguments)


def test_numpys_whole_numbers_are_as_good_as_ints():
    fields = {"step": 3, "rank": 2, "member": 1, "sample": 5}
    with dk.random.stream(7, **fields) as plain:
        wanted = drop(n=64)
    numbers = {name: np.int64(value) for name, value in fields.items()}
    with dk.random.stream(np.int64(7), **numbers) as stream:
        assert torch.equal(drop(n=64), wanted)
        stream.advance(np.int32(2))
    assert stream.step == 5
    kinds = {type(value) for state in (plain.state_dict(), stream.state_dict()) for value in state.values()}
    assert kinds == {int, dict}


@pytest.mark.parametrize("name", ["step", "rank", "member", "sample"])
@pytest.mark.parametrize("value", [True, np.bool_(True), 1.0, "1", -1])
def test_other_numbers_than_whole_ones_of_at_least_0_are_refused(name, value):
    with pytest.raises(StreamError, match=f"^{name} must be an int"):
        dk.random.stream(0, **{name: value})
