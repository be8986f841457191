"""
What is known of the issuers of tokens: which claims there are, their values and relations.

What lives here: the public names.  Not here: code, and the schemas (`regauth.schemas.claims`).
"""

from .claims import (
    MOVED,
    Audience,
    ByStrangers,
    Claim,
    ClaimSchema,
    Composed,
    Family,
    Forks,
    Issuer,
    Needed,
    SampleToken,
    SampleTokens,
)
from .examples import Derived, ValueOrigin, coherent, derived
from .nearest import nearest, nearest_beginning
from .reading import ClaimSchemaError, claim_schema
from .relations import Constraint, Relation, Template
from .samples import SchemaFault, faulty_samples
from .stand_ins import stand_in
from .tokens import Contradiction, check_token
from .values import ANY, Values

__all__ = [
    "ANY",
    "MOVED",
    "Audience",
    "ByStrangers",
    "Claim",
    "ClaimSchema",
    "ClaimSchemaError",
    "Composed",
    "Constraint",
    "Contradiction",
    "Derived",
    "Family",
    "Forks",
    "Issuer",
    "Needed",
    "Relation",
    "SampleToken",
    "SampleTokens",
    "SchemaFault",
    "Template",
    "ValueOrigin",
    "Values",
    "check_token",
    "claim_schema",
    "coherent",
    "derived",
    "faulty_samples",
    "nearest",
    "nearest_beginning",
    "stand_in",
]
