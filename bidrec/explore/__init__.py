"""A read-only page over what was published, for somebody who looks through it in a browser."""
