"""`python -m edgexl` is `edgexl`."""

from edgexl.cli import main

main()
