"""
What is known of the issuers of tokens: which claims there are, their values and relations.

What lives here: the public names.  Not here: code, and the schemas (`regauth.schemas.claims`).
"""

from .claims import MOVED, Audience, Claim, ClaimSchema, Family, Issuer
from .examples import coherent, stand_in
from .nearest import nearest, nearest_beginning
from .reading import ClaimSchemaError, Fault, claim_schema
from .relations import Constraint, Relation, Template
from .tokens import Contradiction, check_token
from .values import ANY, Values

__all__ = [
    "ANY",
    "MOVED",
    "Audience",
    "Claim",
    "ClaimSchema",
    "ClaimSchemaError",
    "Constraint",
    "Contradiction",
    "Family",
    "Fault",
    "Issuer",
    "Relation",
    "Template",
    "Values",
    "check_token",
    "claim_schema",
    "coherent",
    "nearest",
    "nearest_beginning",
    "stand_in",
]
