import pytest
import torch
from scipy import ndimage
from scipy import stats as scipy_stats
from torch.nn import functional as F

from dropkit.core import ShapeError
from dropkit.train import Crop, Cutout, Flip, Rotate, Shift
from tests.laws import FALSE_ALARM, assert_frequency, assert_independent

ALL = [Shift(2, fill=0.5), Rotate(30.0), Flip(), Flip(axis="vertical"), Crop(0.5), Cutout(3)]
N = 4000


def uniform_over(index: torch.Tensor, places: int) -> None:
    counts = torch.bincount(index, minlength=places)
    assert len(counts) == places
    assert scipy_stats.chisquare(counts.numpy()).pvalue > FALSE_ALARM


@pytest.mark.parametrize("change", ALL, ids=repr)
def test_generator_alone_decides_and_input_and_global_state_stay(change, rng):
    x, start, outside = torch.randn(32, 2, 9, 7, generator=rng), rng.get_state(), torch.get_rng_state()
    before = x.clone()
    first = change(x, rng)
    second = change(x, rng)
    rng.set_state(start)
    assert torch.equal(first, change(x, rng))
    assert not torch.equal(first, second)
    assert torch.equal(x, before)
    assert torch.equal(outside, torch.get_rng_state())
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert first.is_contiguous()


@pytest.mark.parametrize("change", ALL, ids=repr)
def test_numbers_drawn_do_not_depend_on_image_content_or_size(change, rng):
    start = rng.get_state()
    change(torch.zeros(8, 1, 10, 10), rng)
    after = rng.get_state()
    rng.set_state(start)
    change(torch.randn(8, 3, 16, 12, generator=torch.Generator().manual_seed(1)), rng)
    assert torch.equal(rng.get_state(), after)


@pytest.mark.parametrize("change", ALL, ids=repr)
def test_all_channels_of_an_image_are_treated_alike_and_images_differ(change, rng):
    image = torch.randn(1, 1, 9, 9, generator=rng)
    y = change(image.expand(64, 3, 9, 9).contiguous(), rng)
    assert torch.equal(y[:, 0], y[:, 1])
    assert torch.equal(y[:, 0], y[:, 2])
    assert (y != y[:1]).flatten(1).any(1).any()


def test_shift_moves_by_each_offset_equally_often_and_fills(rng):
    x = torch.randn(1, 2, 6, 5, generator=rng)
    padded = F.pad(x, [2] * 4, value=0.5)
    options = torch.stack([padded[0, :, a : a + 6, b : b + 5] for a in range(5) for b in range(5)])
    y = Shift(2, fill=0.5)(x.expand(N, 2, 6, 5).contiguous(), rng)
    equal = (y[:, None] == options[None]).flatten(2).all(2)
    assert (equal.sum(1) == 1).all()  # each is exactly one of the 25
    uniform_over(equal.int().argmax(1), 25)


def test_flip_is_a_coin_an_image(rng):
    x = torch.randn(N, 1, 3, 4, generator=rng)
    for axis, dim in (("horizontal", -1), ("vertical", -2)):
        y = Flip(0.3, axis=axis)(x, rng)
        flipped = (y == x.flip(dim)).flatten(1).all(1)
        assert (flipped | (y == x).flatten(1).all(1)).all()
        assert_frequency(flipped, 0.3)
        assert_independent(flipped[1:], flipped[:-1], 0.3)


def test_cutout_covers_one_square_with_a_uniform_centre(rng):
    y = Cutout(3, fill=7.0)(torch.zeros(N, 2, 5, 6), rng) == 7.0
    assert torch.equal(y[:, 0], y[:, 1])
    centres = {}
    for row in range(5):
        for column in range(6):
            square = torch.zeros(5, 6, dtype=torch.bool)
            square[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
            centres[tuple(square.flatten().tolist())] = len(centres)
    uniform_over(torch.tensor([centres[tuple(mask)] for mask in y[:, 0].flatten(1).tolist()]), 30)


def test_even_cutout_inside_has_the_exact_size(rng):
    y = Cutout(2, fill=1.0)(torch.zeros(N, 1, 6, 6), rng)
    assert set(y.sum((1, 2, 3)).int().tolist()) == {1, 2, 4}


@pytest.mark.parametrize(("height", "width"), [(15, 15), (11, 19)])
def test_rotate_turns_rigidly_by_at_most_the_given_angle(height, width, rng):
    rows = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    columns = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    image = torch.stack([rows[:, None].expand(height, width), columns[None].expand(height, width)])
    y = Rotate(20.0)(image.expand(500, 2, height, width).contiguous(), rng)
    # The image holds its own coordinates, on which bilinear resampling is exact: centre pixels show the map itself.
    r, c = height // 2, width // 2
    down = y[:, :, r + 2, c]
    right = y[:, :, r, c + 2]
    torch.testing.assert_close(down.norm(dim=1), torch.full((500,), 2.0, dtype=torch.float64))
    torch.testing.assert_close((down * right).sum(1), torch.zeros(500, dtype=torch.float64))
    angle = torch.atan2(right[:, 0], right[:, 1]).rad2deg()
    assert scipy_stats.kstest(angle.numpy(), "uniform", (-20, 40)).pvalue > FALSE_ALARM


def test_rotate_agrees_with_scipy_and_fills_from_outside(rng):
    x = torch.randn(1, 1, 12, 12, generator=rng, dtype=torch.float64)
    y = Rotate(40.0, fill=3.0)(x, rng)
    far = Rotate(180.0, fill=3.0)(torch.full((50, 1, 12, 12), 3.0), rng)
    torch.testing.assert_close(far, torch.full((50, 1, 12, 12), 3.0))
    best = min(
        abs(ndimage.rotate(x[0, 0].numpy(), angle, reshape=False, order=1, cval=3.0) - y[0, 0].numpy())[
            3:9, 3:9
        ].max()
        for angle in torch.linspace(-40, 40, 4001).tolist()
    )
    assert best < 0.01


def test_crop_shows_a_window_inside_the_image_with_uniform_side(rng):
    size = 32
    centred = (torch.arange(size, dtype=torch.float64) + 0.5) * 2 / size - 1  # -1 .. 1 as grid_sample sees it
    y = Crop(0.4)(centred[None, None, None].expand(N, 1, size, size).contiguous(), rng)
    inner = y[:, 0, 10, 8:24]
    slope = (inner[:, -1] - inner[:, 0]) / (centred[23] - centred[8])
    middle = y[:, 0, 10, 15:17].mean(1)
    assert scipy_stats.kstest(slope.numpy(), "uniform", (0.4, 0.6)).pvalue > FALSE_ALARM
    assert (middle.abs() <= 1 - slope + 1e-9).all()
    share = middle / (1 - slope)
    assert scipy_stats.kstest(share[slope < 0.99].numpy(), "uniform", (-1, 2)).pvalue > FALSE_ALARM


def test_crop_of_the_whole_image_is_the_image(rng):
    x = torch.randn(4, 2, 6, 8, generator=rng)
    torch.testing.assert_close(Crop(1.0)(x, rng), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Shift(5), "pixels must be smaller than the image, got 5 for 9x5"),
        (Cutout(6), "size must not exceed the image, got 6"),
    ],
)
def test_options_too_large_for_the_image_are_refused(change, text):
    with pytest.raises(ShapeError, match=text):
        change.fits(9, 5)
