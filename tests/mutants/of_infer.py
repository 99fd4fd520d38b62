"""Faults in predictions, what they are calibrated with, and the audit they rest on: ``(file, old, new, test)``."""

_PREDICTING = "infer/test_predicting.py"

MUTANTS = [
    ("infer/pace.py", "first << self._chunks", "first", "infer/test_pace.py"),
    ("infer/pace.py", "each > limit * best[0]", "False", "infer/test_pace.py"),
    ("infer/pace.py", "if before >= _MOSTLY", "if before < 0", "infer/test_pace.py"),
    ("infer/members.py", "begin += size", "begin += size + 1", _PREDICTING),
    ("infer/members.py", "torch.arange(length) + self._first", "torch.arange(length)", _PREDICTING),
    ("infer/prediction.py", "ddof = self.count - 1", "ddof = self.count", _PREDICTING),
    ("infer/prediction.py", "gap**2 * (self.count * size / total)", "0.0", "infer/test_prediction.py"),
    (
        "infer/prediction.py",
        "(self.entropy - self.expected_entropy)",
        "self.entropy",
        "infer/test_prediction.py",
    ),
    ("infer/fold.py", "return 1.0 - float(rate)", "return float(rate)", "infer/test_fold.py"),
    ("infer/fold.py", "if len(users) > 1", "if len(users) > 9", "infer/test_fold.py"),
    (
        "infer/enumeration.py",
        "torch.where(bits.bool(), keep, 1.0 - keep)",
        "torch.where(bits.bool(), keep, keep)",
        "infer/test_enumeration.py",
    ),
    (
        "infer/geometric_mean.py",
        "share * probabilities.log()",
        "probabilities.log()",
        "infer/test_geometric_mean.py",
    ),
    ("infer/conformal.py", "(len(s) + 1) * level", "len(s) * level", "infer/test_conformal.py"),
    ("infer/ensembling.py", "math.lcm(", "max(1, ", "infer/test_ensembling.py"),
    ("surgery/sampling.py", "name in callers", "True", _PREDICTING),
    (
        "surgery/auditing/work.py",
        "(self._before or 0) / max(self.done, 1)",
        "0.0",
        _PREDICTING,
    ),
]
