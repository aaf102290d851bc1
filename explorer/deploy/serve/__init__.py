"""The model server: a bundle over HTTP."""
