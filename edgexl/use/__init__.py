"""A bundle in hand: answer queries, evaluate, inspect, profile, change labels, demonstrate."""
