"""Where a subscriber puts what it receives. Each sink is a module, loaded only when it is asked for."""
