"""What the importer reads of a sentence-transformers directory, a file a part: `sources` (where the directory comes
from), `description` (what its JSON says), `settings` (which of it changes the vectors), `tokenizer` and `tensors`."""
