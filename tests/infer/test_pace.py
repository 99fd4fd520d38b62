"""How members are paced, on made-up times."""

import pytest

from dropkit.infer.pace import Pace

SMALL, MIDDLING, LARGE = 1 << 10, 1 << 21, 1 << 24  # bytes a member


def ran(pace, seconds, members, *, largest=10**9, refusing=()):
    """Run members that take ``seconds(mode, size)`` a chunk; return the chunks, as ``(mode, size)``."""
    done, chunks = 0, []
    while done < members:
        mode, size = pace.next(largest, members - done)
        assert 1 <= size <= min(largest, members - done)
        if mode in refusing:
            assert pace.refused()
            continue
        pace.took(size, seconds(mode, size))
        chunks.append((mode, size))
        done += size
    assert sum(size for _, size in chunks) == members
    return chunks


def alike(mode, size):
    return float(size)


def batching_pays(mode, size):
    return size if mode == "loop" else 0.5 + 0.1 * size


def large_chunks_are_slow(mode, size):
    return size * (1.0 - 0.1 * size if size < 8 else 3.0)


def batching_is_slow(mode, size):
    return size * (1.0 if mode == "loop" else 3.0)


def test_what_comes_before_the_first_site_is_worth_one_chunk_of_all_members():
    assert ran(Pace(None, 0.99, MIDDLING, can_expand=True), alike, 50) == [("vmap", 50)]
    assert ran(Pace("vmap", 0.99, MIDDLING, can_expand=True), alike, 50) == [("vmap", 50)]
    assert {size for _, size in ran(Pace(None, 0.99, MIDDLING, can_expand=True), alike, 50, largest=10)} == {
        10
    }


def test_chunks_grow_while_that_pays():
    chunks = ran(Pace(None, 0.0, MIDDLING, can_expand=True), batching_pays, 1000)
    assert chunks[:5] == [("loop", 1), ("loop", 1), ("expand", 2), ("expand", 4), ("expand", 8)]
    assert max(size for _, size in chunks) > 64
    first = next(mode for mode, _ in ran(Pace(None, 0.5, MIDDLING, can_expand=True), batching_pays, 100)[2:])
    assert first == "vmap"


@pytest.mark.parametrize("mode", [None, "expand", "vmap"])
@pytest.mark.parametrize("before", [0.0, 0.5])
def test_chunks_that_are_slow_are_given_up(mode, before):
    chunks = ran(Pace(mode, before, MIDDLING, can_expand=True), large_chunks_are_slow, 1000)
    assert sum(size >= 8 for _, size in chunks) == 1
    assert chunks[-2][1] == 4


@pytest.mark.parametrize("before", [0.0, 0.5])
def test_a_mode_that_is_slow_costs_one_small_chunk(before):
    chunks = ran(Pace(None, before, MIDDLING, can_expand=True), batching_is_slow, 50)
    assert [size for mode, size in chunks if mode != "loop"] == [2]


def test_a_mode_that_the_model_refuses_is_passed_over():
    chunks = ran(Pace(None, 0.99, MIDDLING, can_expand=True), batching_pays, 100, refusing=("vmap",))
    assert {mode for mode, _ in chunks} == {"loop", "expand"}
    chunks = ran(Pace(None, 0.0, MIDDLING, can_expand=True), batching_pays, 100, refusing=("vmap", "expand"))
    assert {mode for mode, _ in chunks} == {"loop"}
    chunks = ran(Pace(None, 0.0, MIDDLING, can_expand=False), batching_pays, 100)
    assert {mode for mode, _ in chunks} == {"loop", "vmap"}


def test_a_mode_that_a_later_batch_refuses_is_left_for_the_loop():
    pace = Pace(None, 0.0, MIDDLING, can_expand=True)
    assert {mode for mode, _ in ran(pace, batching_pays, 1000)} == {"loop", "expand"}
    assert pace.next(10**9, 100)[0] == "expand"
    assert pace.refused()
    assert pace.next(10**9, 100)[0] == "loop"
    assert not pace.refused()
    asked = Pace("expand", 0.0, MIDDLING, can_expand=True)
    ran(asked, batching_pays, 1000)
    assert not asked.refused()


def test_members_that_fit_in_the_cache_together_are_not_tried_alone():
    assert ran(Pace(None, 0.0, SMALL, can_expand=True), alike, 50) == [("expand", 50)]
    assert ran(Pace(None, 0.5, SMALL, can_expand=False), alike, 50) == [("vmap", 50)]
    alone = ran(Pace(None, 0.0, SMALL, can_expand=True), alike, 50, refusing=("expand", "vmap"))
    assert alone[:3] == [("loop", 1), ("loop", 1), ("loop", 8)]


def test_large_members_run_alone_on_a_cpu_unless_much_of_their_work_can_be_shared():
    assert ran(Pace(None, 0.0, LARGE, can_expand=True), batching_pays, 50) == [("loop", 1)] * 50
    assert ran(Pace(None, 0.5, LARGE, can_expand=True), batching_pays, 50)[2][0] == "vmap"
    elsewhere = ran(Pace(None, 0.0, LARGE, can_expand=True, on_cpu=False), batching_pays, 50)
    assert elsewhere[2] == ("expand", 2)


@pytest.mark.parametrize("mode", ["vmap", "expand"])
def test_a_slow_mode_that_was_asked_for_goes_back_to_chunks_of_one(mode):
    chunks = ran(Pace(mode, 0.0, LARGE, can_expand=True), lambda _, size: size**1.7, 50)
    assert [size for _, size in chunks] == [1, 2] + [1] * 47


@pytest.mark.parametrize("mode", ["loop", "vmap", "expand"])
def test_a_mode_that_was_asked_for_is_kept(mode):
    for seconds in (alike, batching_pays, large_chunks_are_slow):
        assert {used for used, _ in ran(Pace(mode, 0.0, MIDDLING, can_expand=True), seconds, 300)} == {mode}
    assert not Pace("vmap", 0.0, MIDDLING, can_expand=True).refused()


def test_a_larger_chunk_that_hardly_pays_is_the_last():
    chunks = ran(Pace("expand", 0.0, LARGE, can_expand=True), lambda _, size: size * 0.99**size, 50)
    assert [size for _, size in chunks] == [1, 2, 4] + [1] * 43
