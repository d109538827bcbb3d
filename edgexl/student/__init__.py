"""Students, the compiler's input: tokenizer, screener, reasoner and label set. Importing this package needs no torch."""
