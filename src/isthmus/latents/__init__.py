"""Using latent codes: few bytes, files, walks."""
