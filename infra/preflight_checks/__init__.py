"""The checks of infra/preflight: each yields findings and knows nothing of the others."""
