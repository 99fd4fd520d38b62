"""Deliberate faults: each must turn some test red, or the tests prove less than they seem to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

# (file, what stands there, the fault, where a test must fail)
MUTANTS = [
    ("random/philox.py", "_ROUNDS = 10", "_ROUNDS = 9", "random/test_philox.py"),
    ("random/philox.py", "^ c3 ^ k1", "^ c3 ^ k0", "random/test_philox.py"),
    ("random/layout.py", "round(rate * 2**32)", "int(rate * 2**16) << 16", "random/test_reference.py"),
    ("random/layout.py", "max(round(rate * 2**32), 1)", "round(rate * 2**32)", "random/test_reference.py"),
    ("random/reference.py", "number >= threshold", "number > threshold", "random/test_reference.py"),
    ("random/bits.py", ">= low\n    return keep", ">= 0\n    return keep", "random/test_bits.py"),
    ("random/bits.py", "sample * size", "sample", "random/test_bits.py"),
    ("random/bits.py", "r0 * a0.sin()", "r0 * a0.cos()", "random/test_bits.py"),
    ("random/key.py", "occurrence, member), base", "occurrence, 0), base", "random/test_key.py"),
    ("random/key.py", "(*split64(step), rank, _STEP)", "(*split64(step), 0, _STEP)", "random/test_key.py"),
    ("random/stream.py", "self._unnamed = number + 1", "pass", "random/test_stream.py"),
    ("random/stream.py", "_ACTIVE.innermost = _ACTIVE.outer.pop()", "pass", "random/test_stream.py"),
    ("random/stream.py", "class _Active(threading.local)", "class _Active", "random/test_stream.py"),
    ("random/recompute.py", "if task != self._task", "if False", "random/test_recompute.py"),
    ("random/packed.py", "return Key(key.words, 0)", "return key", "ops/test_shared_masks.py"),
    ("random/draw.py", "tape.record(site, key)", "pass", "random/test_recompute.py"),
    ("random/draw.py", "elif here.recomputing and", "elif False and", "random/test_recompute.py"),
    ("ops/reference.py", "skip_key(site, generator)", "pass", "random/test_stream.py"),
    (
        "ops/reference.py",
        "1.0 / (1.0 - rate) if rate < 1.0 else 1.0",
        "1.0 - rate",
        "ops/units/test_dropout.py",
    ),
    ("ops/units/dropout.py", "scale_by(x, 1.0 - used)", "x", "ops/units/test_dropout.py"),
    ("ops/units/dropout.py", 'scaled=scaling == "train"', "scaled=True", "ops/units/test_dropout.py"),
    (
        "ops/spatial/spatial_dropout.py",
        "(*x.shape[:2], *[1]",
        "(1, x.shape[1], *[1]",
        "ops/spatial/test_spatial_dropout.py",
    ),
    ("ops/paths/drop_path.py", "(x.shape[0], *[1] * (x.ndim - 1))", "x.shape", "ops/paths/test_drop_path.py"),
    (
        "ops/units/gaussian_dropout.py",
        "math.sqrt(used / (1.0 - used))",
        "used / (1.0 - used)",
        "ops/units/test_gaussian_dropout.py",
    ),
    (
        "ops/units/alpha_dropout.py",
        "return a, -a * rate * SATURATION",
        "return a, 0.0 * rate",
        "ops/units/test_alpha_dropout.py",
    ),
    ("ops/fused/relu_dropout.py", "F.relu(x)", "x", "ops/fused/test_laws.py"),
    ("ops/fused/activation.py", "return activation.own(x)", "return x", "ops/fused/test_laws.py"),
    ("ops/fused/activation.py", "0.044715", "0.044", "ops/fused/test_laws.py"),
    ("ops/fused/coins.py", "drop_all, 1.0", "(lambda v: v), 1.0", "ops/fused/test_laws.py"),
    ("ops/fused/dropout_add.py", "return x + residual", "return x", "ops/fused/test_laws.py"),
    (
        "ops/fused/bias_dropout_add.py",
        "x.to(wide) + bias.to(wide))\n    return",
        "x.to(wide))\n    return",
        "ops/fused/test_native.py",
    ),
    ("ops/kernels/fused.py", "Fused(form + 1)", "Fused(form)", "ops/fused/test_native.py"),
    (
        "ops/kernels/fused.py",
        "torch.where(output <= 0.0",
        "torch.where(output < 0.0",
        "ops/fused/test_native.py",
    ),
    (
        "ops/kernels/fused.py",
        "(output,) = ctx.saved",
        "output = gradient; _ = ctx.saved",
        "ops/fused/test_native.py",
    ),
    ("nn/module.py", "value = accept_rate(value)", "pass", "nn/test_contract.py"),
    ("nn/paths/drop_path.py", "site=self.site", "site=None", "nn/test_contract.py"),
    (
        "ops/weights/drop_connect.py",
        "site=site, batched=False)",
        "site=site)",
        "ops/weights/test_drop_connect.py",
    ),
    ("ops/weights/mixout.py", "else start + moved", "else moved", "ops/weights/test_mixout.py"),
    (
        "ops/weights/targeted_dropout.py",
        "rank < count",
        "rank >= count",
        "ops/weights/test_targeted_dropout.py",
    ),
    ("ops/weights/targeted_dropout.py", "keep | ~candidates", "keep", "ops/weights/test_targeted_dropout.py"),
    ("nn/weights/drop_connect.py", "layer.groups * n", "n", "nn/weights/test_drop_connect.py"),
    ("nn/weights/weight_drop.py", '"weight_hh_"', '"weight_"', "nn/weights/test_weight_drop.py"),
    (
        "ops/paths/stochastic_depth.py",
        "site=site, batched=False",
        "site=site",
        "ops/paths/test_stochastic_depth.py",
    ),
    (
        "ops/paths/fractal_drop_path.py",
        "survivor.long()",
        "(survivor * 0).long()",
        "ops/paths/test_fractal_drop_path.py",
    ),
    (
        "ops/paths/fractal_drop_path.py",
        "keep | (~keep",
        "keep & (~keep",
        "ops/paths/test_fractal_drop_path.py",
    ),
    (
        "ops/paths/steer.py",
        "save_for_backward(inputs[2])",
        "save_for_backward(inputs[1])",
        "ops/paths/test_shake.py",
    ),
    ("ops/paths/shake_shake.py", "1.0 - b)", "b)", "ops/paths/test_shake.py"),
    ("ops/paths/shake_drop.py", "1.0 - sum(alpha) / 2", "1.0", "ops/paths/test_shake.py"),
    ("ops/paths/swapout.py", 'f"{site}:branch"', "site", "ops/paths/test_swapout.py"),
    ("nn/paths/layer_drop.py", "if keep is False", "if False", "nn/paths/test_layer_drop.py"),
    (
        "nn/paths/fractal_drop_path.py",
        "columns / max(share, 1e-300)",
        "columns",
        "nn/paths/test_fractal_drop_path.py",
    ),
    (
        "nn/schedules/linear.py",
        "min(step / self.steps, 1.0)",
        "step / self.steps",
        "nn/schedules/test_values.py",
    ),
    (
        "nn/schedules/early_late.py",
        "self.rate if step >= self.steps",
        "self.rate if step > self.steps",
        "nn/schedules/test_values.py",
    ),
    ("nn/schedules/by_epoch.py", "step // self.steps_per_epoch", "step", "nn/schedules/test_values.py"),
    (
        "nn/paths/scheduled_drop_path.py",
        ' * check_rate(depth, "depth")',
        "",
        "nn/paths/test_scheduled_drop_path.py",
    ),
    ("ops/units/uniform_dropout.py", "3.0 * exact", "exact", "ops/units/test_uniform_dropout.py"),
    (
        "ops/units/fast_dropout.py",
        "mean.to(wide).square()",
        "mean.to(wide)",
        "ops/units/test_fast_dropout.py",
    ),
    ("ops/units/fast_dropout.py", ".clamp_min(least)", "", "ops/units/test_fast_dropout.py"),
    ("ops/units/shakeout.py", "kept - x", "kept", "ops/units/test_shakeout.py"),
    ("ops/units/jumpout.py", "share / active", "share", "ops/units/test_jumpout.py"),
    ("ops/units/jumpout.py", "_EXPONENT = -0.75", "_EXPONENT = -1.0", "ops/units/test_jumpout.py"),
    ("ops/units/jumpout.py", "_ROUNDS = 6", "_ROUNDS = 2", "ops/units/test_jumpout.py"),
    ("ops/units/max_dropout.py", "descending=True", "descending=False", "ops/units/test_max_dropout.py"),
    (
        "ops/units/max_dropout.py",
        "math.prod(x.shape[1:]) + v",
        "math.prod(x.shape[1:])",
        "ops/units/test_max_dropout.py",
    ),
    (
        "ops/units/drop_activation.py",
        "torch.where(keep, activated, x)",
        "activated",
        "ops/units/test_drop_activation.py",
    ),
    (
        "ops/spatial/drop_block.py",
        "_solved(torch.tensor(rate, dtype=torch.float64), sizes, block_size).item()",
        "rate * math.prod(sizes) / math.prod(min(block_size, s) * (s - min(block_size, s) + 1) for s in sizes)",
        "ops/spatial/test_drop_block.py",
    ),
    (
        "ops/spatial/drop_block.py",
        "keep.flatten(1).sum(1, dtype=torch.float64)",
        "keep.flatten(1).sum(1, dtype=torch.float64).mean().expand(len(x))",
        "ops/spatial/test_drop_block.py",
    ),
    (
        "ops/spatial/drop_block.py",
        "torch.where(kept > 0.0, keep[0].numel() / kept, 1.0)",
        "keep[0].numel() / kept",
        "ops/spatial/test_drop_block.py",
    ),
    ("ops/spatial/drop_block.py", "min(width, block - width)", "width", "ops/spatial/test_drop_block.py"),
    (
        "ops/spatial/drop_filter.py",
        "coins = (1, ",
        "coins = (x.shape[0], ",
        "ops/spatial/test_drop_filter.py",
    ),
    ("ops/spatial/cutout.py", "- size // 2\n    left", "\n    left", "ops/spatial/test_cutout.py"),
    (
        "ops/spatial/random_erasing.py",
        "torch.minimum(flattest.clamp(min=aspect), steepest)",
        "flattest.clamp(min=aspect)",
        "ops/spatial/test_random_erasing.py",
    ),
    (
        "ops/spatial/weighted_channel_dropout.py",
        "-u.log() / score.detach()",
        "-u.log()",
        "ops/spatial/test_weighted_channel_dropout.py",
    ),
    (
        "ops/spatial/weighted_channel_dropout.py",
        "score.sum(1, keepdim=True) / ",
        "channels / count * ",
        "ops/spatial/test_weighted_channel_dropout.py",
    ),
    (
        "objectives/marginalised_dropout.py",
        "square() + variance",
        "square()",
        "objectives/test_marginalised_dropout.py",
    ),
    (
        "objectives/marginalised_dropout.py",
        "/ (1.0 - q))",
        ")",
        "objectives/test_marginalised_dropout.py",
    ),
    ("ops/graphs/drop_edge.py", "x.sort(dim=0).values", "x", "ops/graphs/test_drop_edge.py"),
    ("ops/graphs/drop_message.py", "edge_index[0]", "edge_index[1]", "ops/graphs/test_drop_message.py"),
    ("ops/graphs/drop_node.py", "(x.shape[0], *[1] * (x.ndim - 1))", "None", "ops/graphs/test_drop_node.py"),
    ("random/draw.py", "torch.randint(2**32, (2,)", "torch.randint(2**31, (2,)", "test_randomness.py"),
    ("random/key.py", "number = whole_number(seed)", "number = seed", "random/test_key.py"),
    ("core/checks.py", "and not isinstance(value, bool)", "", "core/test_checks.py"),
    ("cli/bench/turns.py", "names[first:] + names[:first]", "names", "cli/bench/test_turns.py"),
    ("cli/bench/turns.py", "(clock() - begin) / times", "clock() - begin", "cli/bench/test_turns.py"),
    ("cli/bench/memory.py", "numel() * saved.element_size()", "numel()", "cli/bench/test_rows.py"),
    (
        "cli/bench/elementwise.py",
        "_in_stream(loop(module))",
        "_in_stream(loop(lambda x: x))",
        "cli/bench/test_rows.py",
    ),
    ("records/folder.py", "if was.data != now.data", "if False", "records/test_folder.py"),
    ("study/fingerprint.py", "in part.take(some)", "in part.take(some)[:1]", "study/test_fingerprint.py"),
    ("study/fingerprint.py", "_add_part(digest, part)", "pass", "study/test_fingerprint.py"),
    ("study/study.py", "fingerprint=facts.fingerprint)", "fingerprint=None)", "study/test_fingerprint.py"),
    ("stats/wording.py", "factor * value for value", "value for value", "stats/test_wording.py"),
    ("report/verdict.py", "not is_share(study.metric)", "True", "report/test_verdict.py"),
    ("surgery/rules.py", "if name not in known:", "if False:", "surgery/test_rules.py"),
    (
        "ops/recurrent/locked_dropout.py",
        "(rows.shape[0], 1, rows.shape[2])",
        "tuple(rows.shape)",
        "ops/recurrent/test_locked_dropout.py",
    ),
    (
        "ops/recurrent/locked_dropout.py",
        "(rows.shape[0], 1, rows.shape[2])",
        "(1, 1, rows.shape[2])",
        "ops/recurrent/test_locked_dropout.py",
    ),
    (
        "ops/recurrent/embedding_dropout.py",
        "site=site, batched=False",
        "site=site",
        "ops/recurrent/test_embedding_dropout.py",
    ),
    (
        "ops/tokens/drop_head.py",
        "count / keep.sum(1, keepdim=True, dtype=torch.float64).clamp(min=1.0)",
        "torch.full((len(x), 1), 1 / (1 - float(used)))",
        "ops/tokens/test_drop_head.py",
    ),
    (
        "ops/tokens/drop_head.py",
        "(x.shape[0], *ones[1:], count, 1)",
        "(x.shape[0], *ones[1:], 1, count)",
        "ops/tokens/test_drop_head.py",
    ),
    ("ops/tokens/drop_key.py", "keep | (x <= _GONE)", "keep", "ops/tokens/test_drop_key.py"),
    ("ops/tokens/drop_key.py", "_GONE = -32768.0", '_GONE = float("-inf")', "ops/tokens/test_drop_key.py"),
    (
        "ops/tokens/token_dropout.py",
        "torch.where(touched, y, rest)",
        "torch.where(touched, rest, y)",
        "ops/tokens/test_token_dropout.py",
    ),
    (
        "ops/tokens/token_dropout.py",
        "(*rest.shape[:2], 1)",
        "tuple(rest.shape)",
        "ops/tokens/test_token_dropout.py",
    ),
    ("ops/tokens/patch_dropout.py", "values + spare", "values", "ops/tokens/test_patch_dropout.py"),
    (
        "ops/tokens/patch_dropout.py",
        "score.argsort(stable=True, dim=1)[:, :left].sort(1).values",
        "torch.arange(left, device=x.device).expand(len(x), left)",
        "ops/tokens/test_patch_dropout.py",
    ),
    (
        "ops/tokens/spans.py",
        "(rate * size + rounding)",
        "(rate * size + 0.5 + 0 * rounding)",
        "ops/tokens/test_spans.py",
    ),
    ("ops/tokens/drop_dim.py", ") % size >= length", ") >= length", "ops/tokens/test_drop_dim.py"),
    (
        "ops/tokens/hidden_cut.py",
        "minimum(size - length)",
        "clamp(max=size)",
        "ops/tokens/test_hidden_cut.py",
    ),
    ("ops/tokens/hidden_cut.py", "descending=True", "descending=False", "ops/tokens/test_hidden_cut.py"),
    ("ops/tokens/hidden_cut.py", "size - length + 1", "size - length", "ops/tokens/test_hidden_cut.py"),
    (
        "ops/tasks/modality_dropout.py",
        "spared & ~keep.any(1, keepdim=True)",
        "spared",
        "ops/tasks/test_modality_dropout.py",
    ),
    ("nn/tasks/modality_dropout.py", "keep[:, m]", "keep[:, 0]", "nn/tasks/test_modality_dropout.py"),
    (
        "nn/recurrent/embedding_dropout.py",
        "batched=False",
        "batched=True",
        "nn/recurrent/test_embedding_dropout.py",
    ),
    ("nn/recurrent/cells.py", "noise.becomes(projected, h, step)", "projected", "nn/recurrent/test_laws.py"),
    (
        "nn/recurrent/cells.py",
        "leave.sigmoid() * fresh.tanh()",
        "leave.sigmoid() * noise.remembers(fresh, c, step).tanh()",
        "nn/recurrent/test_laws.py",
    ),
    (
        "nn/recurrent/cells.py",
        "noise.updates(candidate.tanh(), step)",
        "candidate.tanh()",
        "nn/recurrent/test_laws.py",
    ),
    ("nn/recurrent/noise.py", "place.steps if each_step else 1", "place.steps", "nn/recurrent/test_laws.py"),
    ("nn/recurrent/noise.py", '{place.name}:{what}"', '{what}"', "nn/recurrent/test_laws.py"),
    (
        "nn/recurrent/sequences.py",
        "y.index_select(1, order), lengths[order.cpu()]",
        "y, lengths[order.cpu()]",
        "nn/recurrent/test_unroll.py",
    ),
    ("nn/recurrent/unroll.py", "torch.where(here, new, old) for", "new for", "nn/recurrent/test_unroll.py"),
    (
        "nn/recurrent/unroll.py",
        "shown = torch.where(here, y, shown)",
        "shown = y",
        "nn/recurrent/test_unroll.py",
    ),
    (
        "nn/recurrent/unroll.py",
        "if rnn.dropout and training",
        "if False and training",
        "nn/recurrent/test_unroll.py",
    ),
    (
        "nn/recurrent/unroll.py",
        "reversed(range(place.steps))",
        "range(place.steps)",
        "nn/recurrent/test_unroll.py",
    ),
    ("nn/recurrent/zoneout.py", "rate * old + (1.0 - rate) * new", "new", "nn/recurrent/test_laws.py"),
    (
        "nn/recurrent/zoneout.py",
        "torch.where(self._cells.keep(step), new, old)",
        "torch.where(self._cells.keep(step), old, new)",
        "nn/recurrent/test_laws.py",
    ),
    (
        "nn/recurrent/rnn_drop.py",
        "return self._mask.zero(new, step)",
        "return self._mask.drop(new, step)",
        "nn/recurrent/test_laws.py",
    ),
    (
        "nn/recurrent/rnn_drop.py",
        "return self._mask.drop(h, step)",
        "return self._mask.zero(h, step)",
        "nn/recurrent/test_laws.py",
    ),
    (
        "ops/learned/relaxed.py",
        "+ u.log() - (-u).log1p()",
        "+ u.log()",
        "ops/learned/test_concrete_dropout.py",
    ),
    ("ops/learned/relaxed.py", "-logit / temperature", "-logit", "ops/learned/test_concrete_dropout.py"),
    (
        "ops/learned/relaxed.py",
        "return rate if isinstance(rate, Tensor) else used",
        "return used",
        "ops/learned/test_concrete_dropout.py",
    ),
    ("ops/learned/divergence.py", "- 1.50204118", "+ 1.50204118", "ops/learned/test_divergence.py"),
    (
        "ops/learned/divergence.py",
        "functional.softplus(-log_alpha)",
        "functional.softplus(log_alpha)",
        "ops/learned/test_divergence.py",
    ),
    (
        "ops/learned/information_dropout.py",
        "(alpha * z).exp()",
        "1.0 + alpha * z",
        "ops/learned/test_information_dropout.py",
    ),
    (
        "ops/learned/variational_dropout.py",
        "(exact / (1.0 - exact)).sqrt()",
        "(exact / (1.0 - exact))",
        "ops/learned/test_variational_dropout.py",
    ),
    (
        "nn/learned/concrete_dropout.py",
        "weight.square().sum() / (1.0 - rate)",
        "weight.square().sum()",
        "nn/learned/test_concrete_dropout.py",
    ),
    (
        "nn/learned/concrete_dropout.py",
        "if weight.ndim > 1",
        "if True",
        "nn/learned/test_concrete_dropout.py",
    ),
    (
        "nn/learned/local_noise.py",
        "x.square(), variance",
        "x, variance",
        "nn/learned/test_variational_dropout.py",
    ),
    (
        "nn/learned/sparse_variational.py",
        "weight.where(self.keeps(), 0.0)",
        "weight",
        "nn/learned/test_sparse_variational.py",
    ),
    (
        "nn/learned/sparse_variational.py",
        "self.log_alpha().exp() * weight.square()",
        "self.log_alpha().exp()",
        "nn/learned/test_sparse_variational.py",
    ),
    ("nn/learned/learnable_bernoulli.py", "again < 1.0 - rates", "again > rates", "objectives/test_arm.py"),
    (
        "nn/learned/learnable_bernoulli.py",
        "1.0 / (1.0 - rates.to(wide))",
        "1.0 / (1.0 - rates.detach().to(wide))",
        "objectives/test_arm.py",
    ),
    ("objectives/arm.py", "(second - first)", "(first - second)", "objectives/test_arm.py"),
    ("objectives/arm.py", "each.sum() / len(difference)", "each.sum()", "objectives/test_arm.py"),
    (
        "ops/conditional/conditional.py",
        "coins = (len(x), *coins[1:])",
        "pass",
        "ops/conditional/test_conditional.py",
    ),
    (
        "ops/conditional/conditional.py",
        "hard = used.detach()",
        "hard = used * 1.0",
        "ops/conditional/test_conditional.py",
    ),
    (
        "ops/conditional/guided_dropout.py",
        "bins != counts.argmax()",
        "bins != counts.argmin()",
        "ops/conditional/test_guided_dropout.py",
    ),
    (
        "ops/conditional/attention_based_dropout.py",
        ".amax((2, 3), keepdim=True)",
        ".amax()",
        "ops/conditional/test_attention_based_dropout.py",
    ),
    (
        "nn/conditional/standout.py",
        "features * logit.sigmoid()",
        "features",
        "nn/conditional/test_standout.py",
    ),
    (
        "nn/conditional/lima_dropout.py",
        "self.layer / (self.layers - 1)",
        "self.layer / self.layers",
        "nn/conditional/test_lima_dropout.py",
    ),
    (
        "ops/plastic/excitation_dropout.py",
        "base * (count - 1) * share",
        "base * count * share",
        "ops/plastic/test_excitation_dropout.py",
    ),
    (
        "ops/plastic/excitation_dropout.py",
        "return scale_by(kept, 1.0 / share.where(share > 0, 1.0))",
        "return kept",
        "ops/plastic/test_excitation_dropout.py",
    ),
    (
        "ops/plastic/quantal_synaptic_dilution.py",
        'f"{site}:size"',
        "site",
        "ops/plastic/test_quantal_synaptic_dilution.py",
    ),
    ("nn/plastic/evidence.py", "positive = x.clamp_min(0.0)", "positive = x", "nn/plastic/test_evidence.py"),
    (
        "nn/plastic/homeostatic_dropout.py",
        "(1.0 - self.rates) * self.activity",
        "self.activity",
        "nn/plastic/test_homeostatic_dropout.py",
    ),
    (
        "nn/plastic/homeostatic_dropout.py",
        "due = due & (step != self.moved_at)",
        "pass",
        "nn/plastic/test_homeostatic_dropout.py",
    ),
    (
        "nn/plastic/homeostatic_dropout.py",
        "not here.recomputing and ",
        "",
        "nn/plastic/test_homeostatic_dropout.py",
    ),
    (
        "nn/plastic/neuron_drop_in.py",
        "nn.init.zeros_(self.new_outer.weight)",
        "pass",
        "nn/plastic/test_neuron_drop_in.py",
    ),
    (
        "nn/plastic/quantal_synaptic_dilution.py",
        "concentration * rate, concentration * (1.0 - rate)",
        "concentration * (1.0 - rate), concentration * rate",
        "nn/plastic/test_quantal_synaptic_dilution.py",
    ),
]


def test_every_mutant_fits_the_code():
    for file, old, new, test in MUTANTS:
        assert old in (ROOT / "src" / "dropkit" / file).read_text(), (
            f"{file}: write the mutant of {old!r} anew"
        )
        assert old != new
        assert (ROOT / "tests" / test).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("file", "old", "new", "test"), MUTANTS, ids=lambda v: v if "/" in v else "")
def test_the_fault_is_seen(file, old, new, test, tmp_path):
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    victim = tmp_path / "src" / "dropkit" / file
    text = victim.read_text()
    assert old in text, "this mutant no longer fits the code; write it anew"
    victim.write_text(text.replace(old, new))
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{test}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stdout[-2000:]
    assert " failed" in result.stdout.splitlines()[-1], result.stdout[-2000:]  # red, not broken
