"""``dropkit bench``: what dropout costs, every figure a ratio of two things measured side by side.

A row is measured in a process of its own for each number of threads (:mod:`dropkit.cli.bench.worker`). In it the
contestants take turns (:mod:`dropkit.cli.bench.turns`), so that a disturbance hits all of them.
"""

from dropkit.cli.bench.command import register

__all__ = ["register"]
