"""The passes, one a file, in the order in which `edgexl.compiler.pipeline` runs them."""
