"""A city of simulated cameras on one machine: the uplink's behaviour at the broker, many times over.

Each camera has its own certificate, TLS connection and spool, and does what ``edge.uplink`` does: announces its
status with a Last Will, publishes with QoS 1 inside the broker's window, keeps a report until the broker has taken it
and stayed up for a while, sends everything else again after a reconnect, comes back with full jitter and drains what
has piled up at a limited rate. Only the content of reports is random, which neither uplink nor broker can tell.
"""
