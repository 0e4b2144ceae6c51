"""The functions, over HTTP."""
