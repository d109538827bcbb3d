"""Label sets of millions: vectors with the statistics of real ones, compiled out of core and queried on one core."""
