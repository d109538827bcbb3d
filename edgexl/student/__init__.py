"""Students, the compiler's input: tokenizer, screener, reasoner and label set; this package itself needs no torch."""
