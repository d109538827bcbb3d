"""The label index beside the best libraries: what it keeps of exact search, what it weighs, how fast it is."""
