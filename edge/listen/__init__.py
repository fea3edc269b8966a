"""The receiving end: connects to a broker, checks who signed a report, opens it, drops duplicates."""
