"""Client and offline verifier."""
