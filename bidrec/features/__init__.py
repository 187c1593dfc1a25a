"""Features: what a notice is at its publication, what a company is after each moment at which its bids become known."""
