"""The footage of the demonstration: a rendered street with known plates and known persons."""
