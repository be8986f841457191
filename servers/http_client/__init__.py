"""
HTTP out: documents that are fetched whole, and bodies that are streamed.

Not here: what the documents mean (`provider_keys.documents`), and what a registry is sent
(`upstream.registry`).
"""
