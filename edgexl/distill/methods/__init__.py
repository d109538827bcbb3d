"""The methods that recipes name: a further one is a file here, and a place in `METHODS`."""

from edgexl.distill.methods.mechanistic import MECHANISTIC
from edgexl.distill.methods.method import Method
from edgexl.distill.methods.standard import STANDARD

METHODS: dict[str, Method] = {method.name: method for method in (MECHANISTIC, STANDARD)}

__all__ = ["METHODS", "Method"]
