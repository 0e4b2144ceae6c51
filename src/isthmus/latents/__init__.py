"""What can be done with codes: few bytes, files, walks."""
