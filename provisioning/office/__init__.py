"""The deployment office: the CA, the inventory, claims, and the service that turns a claim into an identity."""
