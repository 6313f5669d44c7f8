"""The isolation audit: two canary tenants on the running platform, one of which tries everything against the other."""
