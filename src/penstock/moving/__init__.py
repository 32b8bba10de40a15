"""Moving code here from elsewhere: what its names are here, and rewriting it."""
