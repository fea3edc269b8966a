"""Updates: a signed bundle comes from the office or on a stick, is checked, handed to RAUC, and has to prove itself.

``state`` and ``policy`` decide (pure functions); ``bundle`` checks files; ``office``, ``rauc`` and ``signs`` are the
outside; ``procedure`` puts them together. docs/updates.md tells the whole way.
"""
