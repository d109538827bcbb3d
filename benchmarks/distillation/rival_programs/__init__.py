"""What `benchmarks.distillation.rivals` runs inside the rivals' own environments: no module here imports edgexl
except `minilm` and `bundle`, which are edgexl's."""
