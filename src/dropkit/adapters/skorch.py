"""Skorch: a callback that keeps a stream open while ``net.fit`` runs."""

from __future__ import annotations

from functools import partial
from typing import Any

from dropkit.adapters.session import Session
from dropkit.surgery import Plan

try:
    from skorch import NeuralNet
    from skorch.callbacks import Callback
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "dropkit.adapters.skorch needs skorch: pip install 'dropkit[skorch]'"
    ) from error

_KEY = "dropkit"  # in the history, with the batches: there it is saved, and not printed


class DropkitCallback(Callback):  # type: ignore[misc]
    """Masks and schedules that go on with every optimiser step of a net, and with its history.

    ``NeuralNet(..., callbacks=[DropkitCallback(seed=1)]).fit(X, y)`` opens ``dropkit.random.stream(seed)`` for the fit,
    and advances it after each *optimiser* step, also where a net of your own accumulates gradients. The stream's state
    and the plan are in the net's history: ``partial_fit``, and a net that ``load_params`` gave its history, draw the
    masks that an uninterrupted fit would have. However the fit ends, the stream is left and the plan taken off.

    Args:
        seed: Root of the masks, as in :func:`dropkit.random.stream`.
        plan: Attached to ``net.module_`` while fitting. None: none, or the one in the history.

    Raises:
        StreamError: ``seed`` is none, or not the history's.
        PlanError: ``plan`` is none, does not fit the model, has parameters of its own, or is not the history's.
    """

    def __init__(self, seed: int, plan: Plan | None = None) -> None:
        self.seed = seed
        self.plan = plan

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Let the fit, which follows, run under the stream and the plan."""
        # Callbacks are not told of errors; so the loop itself, which is called next, runs inside the stream.
        vars(net)["fit_loop"] = partial(self._fit, net)

    def _fit(self, net: NeuralNet, *args: Any, **kwargs: Any) -> Any:
        del vars(net)["fit_loop"]
        session = self._session = Session(self.seed, self.plan)
        self._plan_is_noted = False
        saved = _saved(net)
        try:
            if saved is not None:
                session.load_state_dict(saved)
            session.attach(net.module_, optimizer_follows=False)
            session.open()
            hook = net.optimizer_.register_step_post_hook(lambda *_: session.advance())
            try:
                return net.fit_loop(*args, **kwargs)
            finally:
                hook.remove()
        finally:
            session.close()
            del self._session

    def on_batch_end(self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        """Note the stream's state in the history, and once the plan."""
        if not training:
            return
        state = self._session.state_dict()
        if self._plan_is_noted:
            del state["plan"]
        self._plan_is_noted = True
        net.history.record_batch(_KEY, state)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to the fit that is going on."""
        return {"seed": self.seed, "plan": self.plan}


def _saved(net: NeuralNet) -> dict[str, Any] | None:
    """Return the state that the history ends with, if any."""
    noted = [batch[_KEY] for epoch in net.history for batch in epoch["batches"] if _KEY in batch]
    if not noted:
        return None
    return {"plan": next((state["plan"] for state in reversed(noted) if "plan" in state), None), **noted[-1]}
