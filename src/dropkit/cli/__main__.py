"""``python -m dropkit.cli``: the same as the command ``dropkit``."""

from dropkit.cli import main

main()
