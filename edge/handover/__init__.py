"""The hand-over of sealed reports from the vision process to the uplink process, over a Unix socket.

Nothing but ciphertext and a few small integers crosses. Every item is acknowledged once the uplink has
committed it to its spool; what is not acknowledged is sent again after a reconnect, so either process may
die at any moment. ``Sender`` is vision's side, ``Receiver`` the uplink's, ``Item`` what travels.
"""

from edge.handover.frame import LARGEST, LONGEST_RETENTION, TRIALS, HandoverError, Item, Key, Kind
from edge.handover.receiver import Arrival, Receiver
from edge.handover.sender import Sender

__all__ = [
    "LARGEST", "LONGEST_RETENTION", "TRIALS", "Arrival", "HandoverError", "Item", "Key", "Kind", "Receiver", "Sender",
]  # fmt: skip
