"""Reading weights of other frameworks."""
