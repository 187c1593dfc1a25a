"""The training set: features as of each pair's publication, normalised, in arrays the model's side maps into memory."""
