"""Pages of what edgexl measures: of a compile, of a profile, and of two bundles beside each other."""
