"""The scopes that a token may have. docs/identity.md says what each of them allows."""

READ, WRITE, ACT_FOR_USER = "sessions:read", "sessions:write", "sessions:act-for-user"

IMPORT = "sessions:import"

TENANT_READ, TENANT_WRITE = "tenant-values:read", "tenant-values:write"
"""For the values of a whole tenant. A token needs these instead of the usual ones."""

AUDIT, GOVERN = "sources:audit", "sources:govern"
"""For the answers of a whole tenant that cite a source, and for saying what became of the source. A
token needs one of these instead of the usual ones."""

TENANT_USAGE = "tenant:usage"

SCOPES = frozenset(
    {READ, WRITE, ACT_FOR_USER, IMPORT, TENANT_READ, TENANT_WRITE, AUDIT, GOVERN, TENANT_USAGE}
)
"""All that `rights` of an issuer may grant (`app.identity.issuers`)."""
