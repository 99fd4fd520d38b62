"""Known mistakes in the use of dropout, read off what the passes showed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from dropkit.surgery.auditing.known import FUNCTIONS, TORCH_DROPOUT
from dropkit.surgery.auditing.result import AuditSite, AuditWarning
from dropkit.surgery.auditing.unseen import unseen
from dropkit.surgery.auditing.watch import Watch
from dropkit.surgery.tree import Tree

_FUNCTION_NAMES = {getattr(function, "__name__", "") for function in FUNCTIONS}


def mistakes(
    tree: Tree, sites: Sequence[AuditSite], watch: Watch | None, last: set[str]
) -> list[AuditWarning]:
    """Return a warning for each known mistake.

    Args:
        tree: The model's modules.
        sites: Its sites.
        watch: The pass in training mode, or None without one.
        last: Ids of the sites whose dropped tensor the model returns.
    """
    found = [*_rates(sites), *_modules(tree)]
    if watch is None:
        found += unseen(tree)
    else:
        found += [*_ways(watch, last), *_evaluation(sites), *_calls(tree, sites, watch)]
    return found


def _rates(sites: Sequence[AuditSite]) -> Iterator[AuditWarning]:
    if sites and all(site.rate == 0.0 for site in sites):
        yield AuditWarning(
            "rate-zero-everywhere", "", "every rate is 0: nothing is dropped; set one with set_rate"
        )
    for site in sites:
        if not site.controllable:
            what = (
                "its rate is unknown"
                if site.rate is None
                else f"its rate, {site.rate:g}, is fixed in its code"
            )
            yield AuditWarning(
                "not-controllable", site.id, f"random numbers are drawn in the code at {site.source}; {what}"
            )


def _modules(tree: Tree) -> Iterator[AuditWarning]:
    for alias, name in tree.aliases.items():
        if alias != name and isinstance(tree.modules[name], TORCH_DROPOUT):
            yield AuditWarning(
                "module-used-twice",
                name,
                f"the same module is also {alias!r}: one rate, and one site, for both",
            )
    for name, module in tree.modules.items():
        if isinstance(module, nn.RNNBase) and module.dropout > 0 and module.num_layers == 1:
            yield AuditWarning(
                "recurrent-one-layer",
                name,
                "dropout= acts between layers, and there is only one: it does nothing",
            )
        if isinstance(module, nn.TransformerEncoderLayer) and (inside := _hooked(module)):
            yield AuditWarning(
                "fast-path-lost",
                name,
                f"a hook on {', '.join(map(repr, inside))} ends its fused code of eval mode; it is back once the plan, "
                "or whatever set the hook, is taken off",
            )


def _hooked(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if part._forward_hooks or part._forward_pre_hooks]


def _ways(watch: Watch, last: set[str]) -> Iterator[AuditWarning]:
    active = {id for id, seen in watch.seen.items() if seen.active}
    for site in sorted(watch.marks.shifted & active):
        yield AuditWarning(
            "dropout-before-batch-norm",
            site,
            "its output reaches batch norm, whose statistics then differ between training and eval (variance shift, "
            "Li et al. 2018, arXiv:1801.05134); drop after the last batch norm",
        )
    for site in sorted(last & active):
        yield AuditWarning(
            "dropout-after-last-layer", site, "what it drops is the model's output: predictions become zeros"
        )
    for site in sorted(watch.marks.on_softmax & active):
        yield AuditWarning(
            "dropout-after-softmax",
            site,
            "it drops probabilities, which then no longer add up to 1; drop before",
        )
    for site in sorted(watch.marks.flat & active):
        yield AuditWarning(
            "dropout2d-on-3d",
            site,
            "it was given 3-d input, which it takes for one unbatched image: samples are dropped for channels",
        )


def _evaluation(sites: Sequence[AuditSite]) -> Iterator[AuditWarning]:
    for site in sites:
        if site.active_in_eval:
            how = (
                "dropout_p= is not switched off in eval mode"
                if "scaled_dot_product_attention" in site.id
                else "it is called without training=self.training"
                if any(f":{name}#" in site.id for name in _FUNCTION_NAMES)
                else "it draws in eval mode, too"
            )
            yield AuditWarning("active-in-eval", site.id, f"predictions are random: {how} ({site.source})")


def _calls(tree: Tree, sites: Sequence[AuditSite], watch: Watch) -> Iterator[AuditWarning]:
    for site in sites:
        if site.shape is None and site.rate:
            yield AuditWarning(
                "not-reached",
                site.id,
                "this forward pass never came here; its place in the model is not known",
            )
        elif watch.calls[site.id] > 1 and isinstance(tree.modules.get(site.id), TORCH_DROPOUT):
            yield AuditWarning(
                "module-used-twice",
                site.id,
                f"one forward calls it {watch.calls[site.id]} times: one rate for all of them",
            )
