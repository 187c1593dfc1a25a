"""What a run says of itself to people: one page of HTML, and a model card."""
