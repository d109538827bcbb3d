"""What a compile measures and judges: the reference pipeline, the ledger, gates and the budget."""
