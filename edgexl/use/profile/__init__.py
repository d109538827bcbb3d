"""How long a bundle takes on a device, stage by stage and operation by operation, how much memory it holds, and whether
these figures are to be trusted: `profile`."""

from edgexl.use.profile.measure import profile

__all__ = ["profile"]
