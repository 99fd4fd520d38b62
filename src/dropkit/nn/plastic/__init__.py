"""Biologically inspired dropout as modules: plasticity, quantal release, homeostasis, growth."""

from dropkit.nn.plastic.drop_in import DropIn
from dropkit.nn.plastic.excitation_dropout import ExcitationDropout
from dropkit.nn.plastic.homeostatic_dropout import HomeostaticDropout
from dropkit.nn.plastic.neuron_drop_in import NeuronDropIn
from dropkit.nn.plastic.quantal_synaptic_dilution import QuantalSynapticDilution

__all__ = ["DropIn", "ExcitationDropout", "HomeostaticDropout", "NeuronDropIn", "QuantalSynapticDilution"]
