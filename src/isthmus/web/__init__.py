"""The doors for people who do not program, and for programs elsewhere: a page, and the same functions over HTTP.

Everything stays on the machine: the server listens on loopback unless told otherwise, fetches nothing, takes no model.
"""
