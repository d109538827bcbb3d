"""Where bundles run: one `Device` protocol; this machine, others by SSH or adb, and an emulated CPU implement it."""

from edgexl.device.device import Device, DeviceFacts, Outcome
from edgexl.device.emulated import EmulatedDevice
from edgexl.device.local import LocalDevice

__all__ = ["Device", "DeviceFacts", "EmulatedDevice", "LocalDevice", "Outcome"]
