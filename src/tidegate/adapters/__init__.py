"""Everything that touches the outside world, one package a port.

Imports ports and model; never core or controller.
"""
