"""Which task a call is for."""

import pytest
import torch

from dropkit.core import DtypeError, ShapeError
from dropkit.nn import StochasticFilterGroups, TaskDropout, TaskError

MAKERS = [
    pytest.param(lambda: TaskDropout(0.5, 3, 6), id="task_dropout"),
    pytest.param(lambda: StochasticFilterGroups(3, 6).eval(), id="stochastic_filter_groups"),
]
each = pytest.mark.parametrize("make", MAKERS)


@each
def test_rows_of_a_batch_may_be_for_different_tasks(make, rng):
    layer = make()
    if isinstance(layer, StochasticFilterGroups):
        layer.logits.data.copy_(torch.randn(6, 4, generator=rng))
    x = torch.randn(5, 6, 2, generator=rng)
    tasks = torch.tensor([2, 0, 0, 1, 2])
    y = layer(x, tasks)
    for row, task in enumerate(tasks.tolist()):
        assert torch.equal(y[row], layer(x, task)[row])
    assert torch.equal(layer(x, tasks.to(torch.int32)), y)


@each
def test_the_task_may_be_set_once_for_all_calls(make):
    layer, x = make(), torch.ones(4, 6)
    assert layer.task is None
    layer.task = 1
    assert torch.equal(layer(x), layer(x, 1))
    assert torch.equal(layer(x, 0), layer(x, 0))
    layer.task = None
    with pytest.raises(TaskError, match="needs a task: pass task= with the input, or set the attribute task"):
        layer(x)


@each
def test_a_task_that_does_not_exist_is_refused(make):
    layer, x = make(), torch.ones(4, 6)
    for task in (3, -1, 1.0, True, "1"):
        with pytest.raises(TaskError, match=r"task must be an int in \[0, 3\), got") as caught:
            layer(x, task)
        assert isinstance(caught.value, IndexError)
        with pytest.raises(TaskError, match=r"task must be an int in \[0, 3\), got"):
            layer.task = task
    for tasks in ([0, 3, 0, 0], [0, -1, 0, 0]):
        with pytest.raises(TaskError, match=r"task must be in \[0, 3\), got a tensor with"):
            layer(x, torch.tensor(tasks))


@each
def test_input_that_does_not_fit_is_refused(make):
    layer = make()
    for shape in ((6,), (4, 5), (6, 4)):
        with pytest.raises(
            ShapeError, match=rf"needs shape \(N, 6, \*\), got \({', '.join(map(str, shape))}"
        ):
            layer(torch.ones(shape), 0)
    with pytest.raises(ShapeError, match=r"task must have shape \(4,\), one a row, got \(3,\)"):
        layer(torch.ones(4, 6), torch.tensor([0, 1, 2]))
    with pytest.raises(DtypeError, match=r"task must hold whole numbers, got a tensor of torch\.float32"):
        layer(torch.ones(4, 6), torch.zeros(4))
    with pytest.raises(DtypeError, match=r"needs a floating-point tensor, got torch\.int64"):
        layer(torch.ones(4, 6).long(), 0)
