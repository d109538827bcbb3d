"""The runtime: a C library (`src/`, `include/edgexl.h`), the tools built on it, and `binding`, which serves Python."""
