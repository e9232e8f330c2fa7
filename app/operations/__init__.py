"""Tools for operators: the commands, the sweep, the check, and creating the table."""
