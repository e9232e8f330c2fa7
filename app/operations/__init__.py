"""What operators run: the commands, the sweep, the check, the table's upkeep."""
