import pytest

from dropkit.nn import LinearByDepth
from dropkit.surgery.depth import block, rates_by_depth


@pytest.mark.parametrize(
    ("module", "function", "expected"),
    [
        ("layers.3.mlp", "", "layers.3"),
        ("layers.3", "add", "layers.3"),
        ("layers.3", "", "layers.3:"),
        ("stages.1.blocks.2.attention.output", "", "stages.1.blocks.2"),
        ("h.0.mlp.2", "", "h.0"),
        ("head", "", "head:"),
        ("", "add", ":add"),
    ],
)
def test_the_block_of_a_site(module, function, expected):
    assert block(module, function) == expected


def test_sites_of_one_block_share_a_rate():
    places = [
        ("layers.0.a", ""),
        ("layers.0", "add"),
        ("layers.1.a", ""),
        ("layers.2.a", ""),
        ("layers.2.b", ""),
    ]
    assert rates_by_depth(LinearByDepth(0.3), places) == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.3])
    assert rates_by_depth(LinearByDepth(0.3, from_zero=True), places) == pytest.approx([0, 0, 0.15, 0.3, 0.3])
