"""Build the index: vectors become coarse and fine codes, and the graphs learn to speak the index's space."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgexl.compiler.artifact import Artifact, Floats, Graphs
from edgexl.compiler.engines import scheme_for
from edgexl.compiler.rotate import rotate_output, unrotate_input
from edgexl.compiler.schemes import SCHEMES, product_names
from edgexl.errors import BadInput
from edgexl.index import LabelIndex, encode_coarse, encode_fine, train_codebook, train_rotation
from edgexl.recipe import IndexRecipe, Scheme
from edgexl.target import Int8


@dataclass(frozen=True)
class BuildIndex:
    """What the recipe says of the index, and the scheme of the reasoner's products, which the rotation's inverse
    gets.
    """

    index: IndexRecipe
    scheme: Scheme
    int8: Int8
    name: str = "build_index"

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `index` and `rotation`, turns `vectors`, and puts the rotation into the graphs. Raises `BadInput` when
        the recipe's sizes do not fit the student's."""
        assert artifact.vectors is not None
        assert artifact.graphs is not None
        recipe, dims = self.index, artifact.vectors.shape[1]
        fine_dims = recipe.fine_dims or dims - dims % 2
        if fine_dims > dims:
            raise BadInput(f"[index] fine_dims = {fine_dims} is more than the student's {dims} dimensions; lower it.")
        vectors, graphs, rotation = artifact.vectors, artifact.graphs, None
        if recipe.rotation != "none":
            rotation = train_rotation(vectors, recipe.rotation, recipe.seed, fine_dims)
            vectors, graphs = vectors @ rotation, self._rotated(graphs, rotation, artifact.engine)
        codebook = train_codebook(vectors, recipe.coarse, recipe.code_bytes, recipe.seed)
        aliases = artifact.rows.alias_labels
        index = LabelIndex(
            codebook=codebook,
            coarse=encode_coarse(vectors, codebook),
            fine=encode_fine(vectors, fine_dims, recipe.fine_bits),
            labels=artifact.rows.labels,
            fine_dims=fine_dims,
            fine_bits=recipe.fine_bits,
            overfetch=max(recipe.overfetch, artifact.shapes.shortlist),
            shortlist=artifact.shapes.shortlist,
            row_starts=aliases.starts.astype(np.uint32),
            row_labels=aliases.values.astype(np.uint32),
        )
        return dataclasses.replace(artifact, vectors=vectors, graphs=graphs, rotation=rotation, index=index)

    def _rotated(self, graphs: Graphs, rotation: Floats, engine: Literal["native", "ort"]) -> Graphs:
        """Both graphs speaking the index's space."""
        reasoner = graphs.reasoner
        for name in ("query_vector", "label_vectors"):
            reasoner = unrotate_input(reasoner, name, rotation)
        # The labels' inverse is a product of N rows, a tenth of a small reasoner's time in fp32; the query's is one
        # row.
        inverse = [name for name in product_names(reasoner) if name == "label_vectors/unrotate"]
        if inverse:
            reasoner = SCHEMES[scheme_for(engine, self.scheme)](reasoner, inverse, self.int8)
        screener = rotate_output(graphs.screener, "query_vector", rotation)
        return dataclasses.replace(graphs, screener=screener, reasoner=reasoner)
