"""Biologically inspired dropout: plasticity, quantal release, growth."""

from dropkit.ops.plastic.drop_in import drop_in
from dropkit.ops.plastic.excitation_dropout import excitation_dropout
from dropkit.ops.plastic.quantal_synaptic_dilution import quantal_synaptic_dilution

__all__ = ["drop_in", "excitation_dropout", "quantal_synaptic_dilution"]
