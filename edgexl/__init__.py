"""edgexl: an edge deployment compiler for two-stage students over huge label sets."""

__version__ = "0.1.0"
