"""From a run to what others build on: the gate, embeddings and recommendations of today, one pointer flipped."""
