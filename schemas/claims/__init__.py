"""The claim schemas of known issuers, one JSON file each; no code."""
