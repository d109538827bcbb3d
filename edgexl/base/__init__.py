"""What every room stands on: errors, strict TOML and JSON, arrays of arrays, files, caches, fetching, progress."""
