"""Public benchmarks of shortlisting over large label sets: a reverse dictionary and entity linking."""
