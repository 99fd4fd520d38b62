"""Native CPU kernels: the same bits, masks and outputs as the plain-torch reference, at the speed of memory.

They are optional. ``status()`` says whether they run, and if not, why. The environment variable
``DROPKIT_KERNELS`` chooses when dropkit is imported: ``reference`` for plain torch, or the name of an instruction
set (``avx512``, ``avx2``, ``portable``) to take that one instead of the widest.
"""

from dropkit.ops.kernels.loading import Status, active, status, use

__all__ = ["Status", "active", "status", "use"]
