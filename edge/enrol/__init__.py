"""How a camera gets its identity: a claim, keys made here, certificates from the deployment's office."""
