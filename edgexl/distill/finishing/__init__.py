"""Compression-aware finishing: a last, short phase in which each stage learns to be itself under a compile recipe.

Both stages are trained against their float selves, with the rounding that the recipe will bring simulated
(`edgexl.distill.stages.simulate`). Stage one, the screener, for queries q through the rounded graph, rows r through the
index's codes, and a pool C of rows that its float self ranks high and random ones:

    KL(float self's softmax over C || softmax of q.fine(r) / temperature)   + coarse_weight x the same with coarse(r)
    + vector_weight x mean (1 - cosine to the float self's vector), of queries and of rows
    + screening_data_weight x cross entropy with the gold rows

so that what codes leave out is what the ranking needs least. Stage two, the reasoner, for the shortlists that the
rounded screener makes with the coded vectors of the finished screener's rows:

    KL(float self's decision, with float states and vectors || the rounded reasoner's)
    + reasoning_data_weight x cross entropy with the gold labels

Tables of embeddings stay as they are: students are stored with int8 rows, and so is what a recipe makes of them. All
is trained on queries of the student's own training; a killed run goes on from its checkpoints.

`finish.finish` does it in memory, `finish.finish_student` from directory to directory, `table.FinishingTable` sets it.
"""
