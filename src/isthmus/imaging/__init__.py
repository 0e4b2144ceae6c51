"""One image: file, array, tensor."""
