from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.standing import Standing
from tests.study.small import study


def test_the_standing_is_the_mean_difference_over_shared_seeds():
    config = load_config(study(seeds=3))
    standing = Standing(config, candidates(config))
    assert standing.text() == ""
    standing.note("none", 0, 0.5)
    standing.note("hidden", 1, 0.1)
    assert standing.text() == ""
    standing.note("hidden", 0, 0.25)
    assert standing.text() == "so far, error on validation against none: hidden -25 points (1 seed)"
    standing.note("none", 1, 0.2)
    assert standing.text().endswith("hidden -17.5 points (2 seeds)")
