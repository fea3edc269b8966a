"""The models a camera runs: files, manifest, cards and the scripts that build them."""
