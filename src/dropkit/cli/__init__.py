"""The command ``dropkit``: parse, call, print. Every room is imported only by the command that needs it."""

from dropkit.cli.app import main

__all__ = ["main"]
